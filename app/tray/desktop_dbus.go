//go:build linux || freebsd || openbsd || netbsd

package tray

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"fyne.io/systray"
	"github.com/godbus/dbus/v5"
)

// The service that knows the panels. Source: StatusNotifierItem of freedesktop.org and KDE.
const (
	watcherName = "org.kde.StatusNotifierWatcher"
	watcherPath = "/StatusNotifierWatcher"
	itemPath    = "/StatusNotifierItem" // where systray serves the icon
)

// dbusTimeout is how long a call waits for the desktop. There is a default for each answer.
const dbusTimeout = 500 * time.Millisecond

var errBusEnded = errors.New("the session bus has ended, and with it the desktop")

// onDesktop runs systray on the session bus. It waits for the bus, because systray panics without one.
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
	// systray's own loop is not used, because at its end it panics if the bus has ended.
	begin, _ := systray.RunWithExternalLoop(ready, func() {})
	begin()
	go keepRegistered(busCtx)
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

// registerInterval is how long systray may take to register the icon, and the time between two attempts to help it.
const registerInterval = time.Second

// keepRegistered registers the icon if systray has not. systray tries once when it starts, and once when the watcher
// appears. It misses a watcher that appears in between, and does not retry. This retries while the watcher refuses.
func keepRegistered(ctx context.Context) {
	bus, err := dbus.SessionBus() // systray's own connection: the icon belongs to whoever registers it
	if err != nil {
		return
	}
	appeared := make(chan *dbus.Signal, 10)
	bus.Signal(appeared)
	defer bus.RemoveSignal(appeared)
	err = bus.AddMatchSignalContext(ctx, dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, watcherName))
	if err != nil {
		return
	}
	check := time.After(registerInterval)
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-appeared:
			if !open {
				return
			}
			check = time.After(registerInterval)
		case <-check:
			check = nil
			if lacksIcon(ctx, bus) && callWatcher(ctx, bus, watcherName+".RegisterStatusNotifierItem", itemPath).Err != nil {
				check = time.After(registerInterval)
			}
		}
	}
}

// lacksIcon reports whether there is a watcher that does not have the icon of this connection.
func lacksIcon(ctx context.Context, bus *dbus.Conn) bool {
	var items []string
	err := watcherProperty(ctx, bus, "RegisteredStatusNotifierItems").Store(&items)
	return err == nil && !slices.ContainsFunc(items, func(item string) bool { return belongsTo(item, bus.Names()[0]) })
}

// belongsTo reports whether an item is of the connection with this name. Watchers list the name with or without a path,
// as :1.4/StatusNotifierItem or :1.4@/StatusNotifierItem.
func belongsTo(item, name string) bool {
	rest, ok := strings.CutPrefix(item, name)
	return ok && (rest == "" || rest[0] == '/' || rest[0] == '@')
}

// label escapes a title for dbusmenu, in which an underscore marks the next letter as the item's key.
func label(title string) string { return strings.ReplaceAll(title, "_", "__") }

// awaitBus waits for the session bus and connects to it. It starts none.
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

// hasHost returns whether a panel shows icons.
func hasHost(ctx context.Context, bus *dbus.Conn) bool {
	var there bool
	err := watcherProperty(ctx, bus, "IsStatusNotifierHostRegistered").Store(&there)
	return err == nil && there
}

func watcherProperty(ctx context.Context, bus *dbus.Conn, name string) *dbus.Call {
	return callWatcher(ctx, bus, "org.freedesktop.DBus.Properties.Get", watcherName, name)
}

func callWatcher(ctx context.Context, bus *dbus.Conn, method string, args ...any) *dbus.Call {
	ctx, cancel := context.WithTimeout(ctx, dbusTimeout)
	defer cancel()
	return bus.Object(watcherName, watcherPath).CallWithContext(ctx, method, dbus.FlagNoAutoStart, args...)
}

// darkPanel guesses from the colour scheme of the desktop whether the panel is dark. Most panels are, and the outlines of
// the icons keep them visible if the guess is wrong. Source: org.freedesktop.portal.Settings, color-scheme (2: light).
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
