// Package window shows the page in a window, through Wails. main.go at the root runs it. The window itself is compiled only
// with the build tags of Wails (and on Linux with cgo), so that everything else builds without GTK.
package window

import (
	"context"
	"errors"
	"io/fs"

	"rancherdesktop.io/rdd/app/page"
	"rancherdesktop.io/rdd/core"
)

// Options is what a window needs.
type Options struct {
	API     *page.API
	Core    *core.Core // its settings hold the place of the window
	Files   fs.FS      // the page's
	Args    []string   // of this program; they are handed to a window that is already open
	Display bool       // there is a display
	Request Request
}

var (
	// ErrNotBuilt means that this program was compiled without Wails.
	ErrNotBuilt = errors.New("this program was built without its window. Install libgtk-3-dev, libwebkit2gtk-4.1-dev, pkg-config and gcc, then run `make build`. To use a browser instead, run: rdd dashboard")
	// ErrNoDisplay means that there is no display. It is checked because GTK panics without one.
	ErrNoDisplay = errors.New("there is no display to open a window on (DISPLAY and WAYLAND_DISPLAY are empty). To use a browser instead, also on another computer through ssh -L, run: rdd dashboard")
)

// Run shows the window until the user closes it or ctx ends. Each instance has one window: a second start brings that to
// the front, hands over its arguments, and returns. The main goroutine must call Run.
func Run(ctx context.Context, o Options) error {
	if generatesBindings {
		return show(ctx, o, nil)
	}
	if !o.Display {
		return ErrNoDisplay
	}
	single, err := o.Core.First(ctx, "window", o.Args)
	if err != nil || single == nil {
		return err
	}
	defer func() { _ = single.Close() }() // for a window that could not be opened
	return show(ctx, o, single)
}
