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

// desktop speaks to whoever shows notifications on the session bus. It connects when there is something
// to show. Source: Desktop Notifications Specification 1.2.
type desktop struct {
	app   string
	queue *queue
	done  chan struct{}
	ended sync.WaitGroup

	sending sync.Mutex // held while the bus is used
	conn    *dbus.Conn
	bus     notify.Notifier

	mu    sync.Mutex
	shown map[uint32]Note
	ids   map[string]uint32
}

// New returns what shows notes as those of app.
func New(app string) Notifier {
	d := &desktop{app: app, queue: newQueue(), done: make(chan struct{}), shown: map[uint32]Note{}, ids: map[string]uint32{}}
	d.ended.Go(d.run)
	return d
}

func (d *desktop) Show(n Note)         { d.queue.put(n.Key, &n) }
func (d *desktop) Withdraw(key string) { d.queue.put(key, nil) }

// Close shows what was asked for before, unless the desktop gives no answer.
func (d *desktop) Close() {
	close(d.done)
	ended := make(chan struct{})
	go func() { d.ended.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(dbusTimeout):
	}
}

// dbusTimeout is how long the desktop may take to say what it can.
const dbusTimeout = time.Second

func (d *desktop) Asks() bool {
	said := make(chan bool, 1)
	go func() {
		d.sending.Lock()
		defer d.sending.Unlock()
		if !d.connect() {
			said <- false
			return
		}
		abilities, err := d.bus.GetCapabilities()
		said <- err == nil && slices.Contains(abilities, "actions")
	}()
	select {
	case yes := <-said:
		return yes
	case <-time.After(dbusTimeout):
		return false
	}
}

func (d *desktop) run() {
	for {
		select {
		case <-d.queue.waking:
			d.empty()
		case <-d.done:
			d.empty()
			d.sending.Lock()
			defer d.sending.Unlock()
			if d.conn != nil {
				_ = d.conn.Close()
			}
			return
		}
	}
}

func (d *desktop) empty() {
	for {
		key, n, ok := d.queue.take()
		if !ok {
			return
		}
		d.sending.Lock()
		switch {
		case !d.connect():
		case n == nil:
			d.withdraw(key)
		default:
			d.send(*n)
		}
		d.sending.Unlock()
	}
}

// connect makes sure that there is a bus, and starts none.
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
	d.mu.Lock() // until the number is known: the choice may come at once
	defer d.mu.Unlock()
	old := d.ids[n.Key]
	m := notify.Notification{AppName: d.app, AppIcon: "rdd", ReplacesID: old, Summary: n.Title, Body: n.Body, ExpireTimeout: notify.ExpireTimeoutSetByNotificationServer}
	if abilities, err := d.bus.GetCapabilities(); err == nil && slices.Contains(abilities, "body-markup") {
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
		m.AddHint(notify.Hint{ID: "value", Variant: dbus.MakeVariant(int32(n.Percent))}) // many daemons draw a bar of it
	}
	id, err := d.bus.SendNotification(m)
	if err != nil {
		return // nobody shows notifications
	}
	delete(d.shown, old)
	d.shown[id], d.ids[n.Key] = n, id
}

func (d *desktop) withdraw(key string) {
	d.mu.Lock()
	id, there := d.ids[key]
	delete(d.ids, key)
	delete(d.shown, id)
	d.mu.Unlock()
	if there {
		_, _ = d.bus.CloseNotification(id) // it may be gone by now
	}
}

func (d *desktop) invoked(s *notify.ActionInvokedSignal) { d.settle(s.ID, s.ActionKey) }

func (d *desktop) closed(s *notify.NotificationClosedSignal) { d.settle(s.ID, "") }

// settle tells a note what was chosen, the first time only: a choice also closes the note.
func (d *desktop) settle(id uint32, action string) {
	d.mu.Lock()
	n, ours := d.shown[id]
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

// markup escapes what a daemon may take for markup. Source: the specification, "Markup".
var markup = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
