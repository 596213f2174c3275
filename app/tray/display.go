package tray

import (
	"context"
	"time"

	"fyne.io/systray"
)

// Display is the icon in the panel.
type Display struct {
	Views   <-chan View // what to show
	Clicked func(ID)    // called for one click after the other; it must not wait

	// NoHost is called once when there is no panel, or no desktop, after Patience. The icon appears all
	// the same when one comes.
	NoHost   func()
	Patience time.Duration // default 5 s

	// Opened is called when somebody opens the menu, where the panel tells. It must not wait.
	Opened func()
}

const hostTimeout = 5 * time.Second

// frameInterval is how long a picture of a moving icon stays.
const frameInterval = 400 * time.Millisecond

// Run shows the icon until ctx ends, or the desktop does, which is an error. The main goroutine of the
// program must call it, once.
func (d *Display) Run(ctx context.Context) error {
	if d.Patience == 0 {
		d.Patience = hostTimeout
	}
	clicks := newClicks()
	defer clicks.close()
	go clicks.deliver(d.Clicked)
	return d.onDesktop(ctx, func(ctx context.Context, dark bool) (ready func(), done <-chan struct{}) {
		menu := &drawing{dark: dark, clicked: clicks.put}
		ended := make(chan struct{})
		return func() { // called before any panel hears of the menu
			select {
			case v := <-d.Views:
				menu.show(v)
			case <-ctx.Done():
			}
			go func() {
				defer close(ended)
				d.follow(ctx, menu)
			}()
		}, ended
	})
}

// follow draws each view until ctx ends.
func (d *Display) follow(ctx context.Context, menu *drawing) {
	tick := time.NewTicker(frameInterval)
	defer tick.Stop()
	for moving := true; ; {
		if is := menu.icon == IconStarting; is != moving {
			if moving = is; moving {
				tick.Reset(frameInterval)
			} else {
				tick.Stop()
			}
		}
		select {
		case <-ctx.Done():
			return
		case v := <-d.Views:
			menu.show(v)
		case <-systray.TrayOpenedCh:
			d.Opened()
		case <-tick.C:
			menu.animate()
		}
	}
}
