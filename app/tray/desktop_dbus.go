//go:build linux || freebsd || openbsd || netbsd

package tray

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"fyne.io/systray"
	"github.com/godbus/dbus/v5"
)

// What a tray asks of the session bus. Source: StatusNotifierItem, as freedesktop.org and KDE have it.
const (
	watcherName = "org.kde.StatusNotifierWatcher"
	watcherPath = "/StatusNotifierWatcher"
)

// dbusTimeout is for the desktop's answer to a question that doesn't matter much.
const dbusTimeout = 500 * time.Millisecond

var errBusEnded = errors.New("the session bus has ended, and with it the desktop")

// onDesktop runs systray on the session bus. It waits for one, because systray panics without.
func (d *Display) onDesktop(ctx context.Context, start func(ctx context.Context, dark bool) (ready func(), done <-chan struct{})) error {
	var noHost sync.Once
	alone := func() { noHost.Do(d.NoHost) }
	bus, err := d.awaitBus(ctx, alone)
	if err != nil {
		return err
	}
	defer func() { _ = bus.Close() }()
	busCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	context.AfterFunc(bus.Context(), func() { cancel(errBusEnded) })

	ready, done := start(busCtx, darkPanel(ctx, bus))
	// Without systray's own loop: at its end, that panics if the bus has gone.
	begin, _ := systray.RunWithExternalLoop(ready, func() {})
	begin()
	late := time.AfterFunc(d.Patience, func() {
		if !hasHost(busCtx, bus) && busCtx.Err() == nil {
			alone()
		}
	})
	defer late.Stop()
	<-busCtx.Done()
	<-done
	if ctx.Err() == nil {
		return context.Cause(busCtx)
	}
	return nil
}

// label is a title as dbusmenu wants it: an underscore would mark the next letter as the item's key.
func label(title string) string { return strings.ReplaceAll(title, "_", "__") }

// awaitBus connects to the session bus, when there is one. It starts none.
func (d *Display) awaitBus(ctx context.Context, alone func()) (*dbus.Conn, error) {
	late := time.AfterFunc(d.Patience, alone)
	defer late.Stop()
	for {
		conn, err := dbus.SessionBusPrivateNoAutoStartup()
		if err == nil {
			if err = conn.Auth(nil); err == nil {
				err = conn.Hello()
			}
			if err == nil {
				return conn, nil
			}
			_ = conn.Close()
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(d.Patience):
		}
	}
}

// hasHost says whether a panel shows icons.
func hasHost(ctx context.Context, bus *dbus.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, dbusTimeout)
	defer cancel()
	var there bool
	err := bus.Object(watcherName, watcherPath).CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", dbus.FlagNoAutoStart,
		watcherName, "IsStatusNotifierHostRegistered").Store(&there)
	return err == nil && there
}

// darkPanel guesses the panel's colour from what the desktop prefers. Most panels are dark, and the
// icons' rims keep a wrong guess visible. Source: org.freedesktop.portal.Settings, color-scheme (2: light).
func darkPanel(ctx context.Context, bus *dbus.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, dbusTimeout)
	defer cancel()
	var scheme dbus.Variant
	err := bus.Object("org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop").CallWithContext(ctx,
		"org.freedesktop.portal.Settings.Read", dbus.FlagNoAutoStart, "org.freedesktop.appearance", "color-scheme").Store(&scheme)
	if inner, ok := scheme.Value().(dbus.Variant); ok {
		scheme = inner
	}
	light, ok := scheme.Value().(uint32)
	return err != nil || !ok || light != 2
}
