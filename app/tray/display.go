package tray

import (
	"context"
	"sync"
	"time"

	"fyne.io/systray"
)

// Display is the icon in the panel.
type Display struct {
	Views   <-chan View // what to show
	Clicked func(ID)    // called for each click, never for two at once; it must not wait

	// NoHost is called once if there is no panel, or no desktop, after Patience. The icon still appears when a panel
	// starts later.
	NoHost   func()
	Patience time.Duration // default 5 s

	// Opened is called when the user opens the menu, if the panel reports that. It must not wait.
	Opened func()
}

const hostTimeout = 5 * time.Second

// frameInterval is the time between two pictures of an animated icon.
const frameInterval = 400 * time.Millisecond

// Run shows the icon until ctx ends, or the desktop, which is an error. The main goroutine of the program must call
// it, once.
func (d *Display) Run(ctx context.Context) error {
	if d.Patience == 0 {
		d.Patience = hostTimeout
	}
	var clicks sync.Mutex
	clicked := func(id ID) {
		clicks.Lock()
		defer clicks.Unlock()
		d.Clicked(id)
	}
	return d.onDesktop(ctx, func(ctx context.Context, dark bool) (ready func(), done <-chan struct{}) {
		menu := &drawing{dark: dark, clicked: clicked}
		ended := make(chan struct{})
		return func() { // systray calls it before a panel sees the menu
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
