//go:build !bindings

package window

const generatesBindings = false
