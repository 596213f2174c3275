//go:build !(linux || freebsd || openbsd || netbsd)

package tray

import (
	"context"
	"runtime"
	"strings"

	"fyne.io/systray"
)

// onDesktop runs systray in the system's own loop. There is always a place for the icon.
func (d *Display) onDesktop(ctx context.Context, start func(ctx context.Context, dark bool) (ready func(), done <-chan struct{})) error {
	ready, done := start(ctx, true)
	context.AfterFunc(ctx, systray.Quit)
	systray.Run(ready, func() {})
	<-done
	return nil
}

// label is a title as the system's menus want it: on Windows, & would mark the next letter as the item's key.
func label(title string) string {
	if runtime.GOOS == "windows" {
		return strings.ReplaceAll(title, "&", "&&")
	}
	return title
}
