// Package window shows the page in a window of its own, through Wails; rdd-window runs it. It is compiled with
// Wails' own build tags only (and on Linux with cgo), so that everything else builds without GTK.
package window
