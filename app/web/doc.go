// Package web serves the same page and API over loopback HTTP with a one-time token; rdd-web runs it.
package web
