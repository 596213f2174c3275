//go:build !(linux || freebsd || openbsd || netbsd)

package tray

import (
	"context"
	"runtime"
	"strings"

	"fyne.io/systray"
)

// onDesktop runs systray in the system's own loop. These systems always show the icon.
func (d *Display) onDesktop(ctx context.Context, start func(ctx context.Context, dark bool) (ready func(), done <-chan struct{})) error {
	ready, done := start(ctx, true)
	context.AfterFunc(ctx, systray.Quit)
	systray.Run(ready, func() {})
	<-done
	return nil
}

// label escapes a title for the system's menus. On Windows, & marks the next letter as the item's key.
func label(title string) string {
	if runtime.GOOS == "windows" {
		return strings.ReplaceAll(title, "&", "&&")
	}
	return title
}
