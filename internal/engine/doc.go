// Package engine talks to the container engine of a running VM; controllers and the core use it.
package engine
