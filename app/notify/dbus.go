//go:build linux || freebsd || openbsd || netbsd

package notify

import (
	"io"
	"log"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/esiqveland/notify"
	"github.com/godbus/dbus/v5"
)

// desktop shows notes through the notification service on the session bus. It connects when there is something to
// show. Source: Desktop Notifications Specification 1.2.
type desktop struct {
	app   string
	queue *queue

	sending sync.Mutex // held while the bus is used
	conn    *dbus.Conn
	bus     notify.Notifier

	mu    sync.Mutex
	shown map[uint32]Note   // by the ID of the notification
	ids   map[string]uint32 // by the key of the note
}

// New returns a Notifier that shows the notes of the program called app.
func New(app string) Notifier {
	d := &desktop{app: app}
	d.queue = newQueue(d.update)
	return d
}

func (d *desktop) Show(n Note)         { d.queue.put(n.Key, &n) }
func (d *desktop) Withdraw(key string) { d.queue.put(key, nil) }

func (d *desktop) Close() {
	within(dbusTimeout, func() {
		d.queue.close()
		d.sending.Lock()
		defer d.sending.Unlock()
		if d.conn != nil {
			_ = d.conn.Close()
		}
	})
}

// dbusTimeout bounds the calls that wait for the desktop.
const dbusTimeout = 3 * time.Second

// within calls do in the background and waits for it until the timeout. It reports whether do has returned.
func within(timeout time.Duration, do func()) bool {
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	select {
	case <-done:
		return true
	case <-time.After(timeout):
		return false
	}
}

func (d *desktop) Asks() bool {
	var buttons bool
	return within(dbusTimeout, func() {
		d.sending.Lock()
		defer d.sending.Unlock()
		buttons = d.connect() && d.has("actions")
	}) && buttons
}

// has reports whether the desktop's notification service has a capability.
func (d *desktop) has(capability string) bool {
	all, err := d.bus.GetCapabilities()
	return err == nil && slices.Contains(all, capability)
}

// update shows a note, or withdraws it if it is nil.
func (d *desktop) update(key string, n *Note) {
	d.sending.Lock()
	defer d.sending.Unlock()
	switch {
	case !d.connect():
	case n == nil:
		d.withdraw(key)
	default:
		d.send(*n)
	}
}

// connect connects to the session bus unless there is a connection. It starts no bus. The caller holds sending.
func (d *desktop) connect() bool {
	if d.conn != nil && d.conn.Connected() {
		return true
	}
	conn, err := dbus.SessionBusPrivateNoAutoStartup()
	if err != nil {
		return false
	}
	if err = conn.Auth(nil); err == nil {
		err = conn.Hello()
	}
	if err != nil {
		_ = conn.Close()
		return false
	}
	bus, err := notify.New(conn, notify.WithLogger(log.New(io.Discard, "", 0)), notify.WithOnAction(d.invoked), notify.WithOnClosed(d.closed))
	if err != nil {
		_ = conn.Close()
		return false
	}
	d.mu.Lock()
	d.ids, d.shown = map[string]uint32{}, map[uint32]Note{}
	d.mu.Unlock()
	d.conn, d.bus = conn, bus
	return true
}

func (d *desktop) send(n Note) {
	d.mu.Lock() // until the ID is known, because the user's choice may arrive at once
	defer d.mu.Unlock()
	old := d.ids[n.Key]
	m := notify.Notification{AppName: d.app, AppIcon: "rdd", ReplacesID: old, Summary: n.Title, Body: n.Body, ExpireTimeout: notify.ExpireTimeoutSetByNotificationServer}
	if d.has("body-markup") {
		m.Body = markup.Replace(n.Body)
	}
	if n.Default != "" {
		m.Actions = append(m.Actions, notify.NewDefaultAction(n.Default))
	}
	for _, a := range n.Actions {
		m.Actions = append(m.Actions, notify.Action{Key: a.Key, Label: a.Label})
	}
	m.SetUrgency(notify.UrgencyNormal)
	if n.Urgent {
		m.SetUrgency(notify.UrgencyCritical)
		m.ExpireTimeout = notify.ExpireTimeoutNever
	}
	if n.Percent > 0 {
		m.AddHint(notify.Hint{ID: "value", Variant: dbus.MakeVariant(int32(n.Percent))}) // many notification services show it as a bar
	}
	id, err := d.bus.SendNotification(m)
	if err != nil {
		return // the desktop shows no notifications
	}
	delete(d.shown, old)
	d.shown[id], d.ids[n.Key] = n, id
}

func (d *desktop) withdraw(key string) {
	d.mu.Lock()
	id, found := d.ids[key]
	delete(d.ids, key)
	delete(d.shown, id)
	d.mu.Unlock()
	if found {
		_, _ = d.bus.CloseNotification(id) // it may have been closed meanwhile
	}
}

func (d *desktop) invoked(s *notify.ActionInvokedSignal) { d.settle(s.ID, s.ActionKey) }

func (d *desktop) closed(s *notify.NotificationClosedSignal) { d.settle(s.ID, "") }

// settle calls the note's Chosen, but only once: after a choice the desktop also reports that the note was closed.
func (d *desktop) settle(id uint32, action string) {
	d.mu.Lock()
	n, ours := d.shown[id] // the signals are about all programs' notifications
	delete(d.shown, id)
	if ours && d.ids[n.Key] == id {
		delete(d.ids, n.Key)
	}
	d.mu.Unlock()
	if action == "default" {
		action = n.Default
	}
	if ours && n.Chosen != nil {
		go n.Chosen(action)
	}
}

// markup escapes the characters of markup. Source: the specification, "Markup".
var markup = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
