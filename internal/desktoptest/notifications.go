//go:build linux

package desktoptest

import (
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"rancherdesktop.io/rdd/internal/testenv"
)

// D-Bus names of the notification server. Source: Desktop Notifications Specification 1.2.
const (
	notifierName = "org.freedesktop.Notifications"
	notifierPath = "/org/freedesktop/Notifications"
)

// Note is a notification that is shown.
type Note struct {
	ID       uint32
	Replaces uint32
	Title    string
	Body     string
	Actions  []string // key, label, key, label…
	Percent  int32
	Urgent   bool
	Closed   bool // it was withdrawn; then only ID is set
}

// Notifications is a notification server.
type Notifications struct {
	testing.TB
	conn    *dbus.Conn
	buttons bool
	notes   chan Note

	mu   sync.Mutex
	last uint32
}

// Notifications starts a notification server, which supports buttons or not.
func (b *Bus) Notifications(buttons bool) *Notifications {
	b.Helper()
	n := &Notifications{TB: b.TB, conn: b.connect(), buttons: buttons, notes: make(chan Note, 10000)}
	err := n.conn.Export(daemon{n}, notifierPath, notifierName)
	if err == nil {
		_, err = n.conn.RequestName(notifierName, dbus.NameFlagDoNotQueue)
	}
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// daemon has the methods that are called over the bus.
type daemon struct{ n *Notifications }

func (d daemon) GetCapabilities() ([]string, *dbus.Error) {
	if d.n.buttons {
		return []string{"body", "body-markup", "actions"}, nil
	}
	return []string{"body"}, nil
}

func (d daemon) Notify(_ string, replaces uint32, _, title, body string, actions []string, hints map[string]dbus.Variant, _ int32) (uint32, *dbus.Error) {
	id := replaces
	if id == 0 {
		d.n.mu.Lock()
		d.n.last++
		id = d.n.last
		d.n.mu.Unlock()
	}
	percent, _ := hints["value"].Value().(int32)
	urgency, _ := hints["urgency"].Value().(byte)
	d.n.notes <- Note{ID: id, Replaces: replaces, Title: title, Body: body, Actions: actions, Percent: percent, Urgent: urgency == 2}
	return id, nil
}

func (d daemon) CloseNotification(id uint32) *dbus.Error {
	d.n.notes <- Note{ID: id, Closed: true}
	d.n.closed(id, 3)
	return nil
}

// Next waits for the next note, or for the withdrawal of one.
func (n *Notifications) Next() Note {
	n.Helper()
	select {
	case note := <-n.notes:
		return note
	case <-time.After(testenv.Timeout):
		n.Fatal("no notification is shown")
		return Note{}
	}
}

// Choose presses a button of a note; "default" is the note itself. The note closes.
func (n *Notifications) Choose(id uint32, action string) {
	n.Helper()
	if err := n.conn.Emit(notifierPath, notifierName+".ActionInvoked", id, action); err != nil {
		n.Fatal(err)
	}
	n.closed(id, 2)
}

// Dismiss closes a note without a choice.
func (n *Notifications) Dismiss(id uint32) { n.closed(id, 2) }

func (n *Notifications) closed(id, reason uint32) {
	if err := n.conn.Emit(notifierPath, notifierName+".NotificationClosed", id, reason); err != nil {
		n.Error(err)
	}
}
