//go:build bindings

package window

// generatesBindings is set in the program that `wails build` runs to generate the page's bindings.
const generatesBindings = true
