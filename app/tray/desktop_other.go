//go:build !(linux || freebsd || openbsd || netbsd)

package tray

import (
	"context"

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
