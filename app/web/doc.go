// Package web serves the page and its API over loopback HTTP, to a browser that was shown an address with a
// token which is good once; rdd-web runs it.
package web
