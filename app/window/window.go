// Package window shows the page in a window of its own, through Wails; the main at the root runs it. It is
// compiled with Wails' own build tags only (and on Linux with cgo), so that everything else builds without GTK.
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
	Core    *core.Core // whose settings say where the window was
	Files   fs.FS      // the page's
	Args    []string   // of this program; a window that is open already gets them
	Display bool       // there is a display to open the window on
	Request Request
}

var (
	// ErrNotBuilt means that this program was compiled without Wails.
	ErrNotBuilt = errors.New("this program was built without its window: install libgtk-3-dev, libwebkit2gtk-4.1-dev, pkg-config and gcc, then run `make build`; or use: rdd dashboard")
	// ErrNoDisplay means that there is nothing to open a window on. It comes before GTK, which panics.
	ErrNoDisplay = errors.New("there is no display to open a window on (DISPLAY and WAYLAND_DISPLAY are empty); in a browser, also of another computer through ssh -L, use: rdd dashboard")
)

// Run shows the window until it is closed, or its context ends. One window shows an instance: a second start
// brings it to the front, hands over its arguments, and returns. It belongs on the main goroutine.
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
	defer func() { _ = single.Close() }() // the window has, when it was opened
	return show(ctx, o, single)
}
