package qemu

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// Monitor watches a QEMU over a control socket of its own, beside Lima's. It finds out why QEMU ends, and checks
// whether QEMU and its guest still answer. It never stops QEMU.
type Monitor struct {
	socket    string
	disk      string // where the VM's disk is, for messages
	report    func(event.Event)
	pingGuest func(context.Context) error // asks the guest whether it answers

	qemuInterval  time.Duration // between questions to QEMU; an answer takes a millisecond
	guestInterval time.Duration // between questions to the guest
	answerTimeout time.Duration // for either to answer
	maxMisses     int           // questions in a row that a guest may leave unanswered

	booted  atomic.Bool // the guest has answered once; before that its boot is watched
	health  event.Health
	misses  int           // times in a row that the guest has not answered
	done    chan struct{} // closed when run has ended
	ended   string        // how the guest ended; set before done is closed
	waiting bool          // QEMU owes an answer to query-status
}

// NewMonitor returns a monitor of the VM's QEMU. It reports the VM's health, and pings the guest with pingGuest.
func NewMonitor(vm layout.VM, report func(event.Event), pingGuest func(context.Context) error) *Monitor {
	return &Monitor{
		socket: vm.MonitorSocket(), disk: vm.Dir(), report: report, pingGuest: pingGuest, done: make(chan struct{}),
		qemuInterval: 10 * time.Second, guestInterval: 30 * time.Second, answerTimeout: 15 * time.Second, maxMisses: 2,
	}
}

// GuestBooted makes the monitor check from now on whether the guest answers.
func (m *Monitor) GuestBooted() { m.booted.Store(true) }

// monitorExitTimeout is how long a monitor may take to see that QEMU has ended. It takes a millisecond.
const monitorExitTimeout = time.Second

// WaitEnd returns how the guest ended, once QEMU has ended. It is empty if QEMU never started.
func (m *Monitor) WaitEnd() string {
	select {
	case <-m.done:
		return m.ended
	case <-time.After(monitorExitTimeout):
		return ""
	}
}

// qmpDialInterval is the time between attempts to reach a QEMU that is starting.
const qmpDialInterval = 100 * time.Millisecond

// Run watches until QEMU has ended, or ctx has.
func (m *Monitor) Run(ctx context.Context) {
	defer close(m.done)
	c := m.connect(ctx)
	if c == nil {
		return
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	replies := make(chan qmpReply)
	go func() {
		defer close(replies)
		for {
			var r qmpReply
			if c.in.Decode(&r) != nil {
				return
			}
			replies <- r
		}
	}()
	m.ended = event.Killed // unless QEMU says something else first
	m.watch(ctx, c, replies)
}

func (m *Monitor) connect(ctx context.Context) *qmpConn {
	for {
		c, err := dialQMP(ctx, m.socket)
		if err == nil {
			return c
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(qmpDialInterval):
		}
	}
}

// watch handles QEMU's replies and events, and asks at intervals.
func (m *Monitor) watch(ctx context.Context, c *qmpConn, replies <-chan qmpReply) {
	ask := time.NewTicker(m.qemuInterval)
	defer ask.Stop()
	var late <-chan time.Time // QEMU should have answered by then
	checked := make(chan error, 1)
	next := time.Now().Add(m.guestInterval)
	for {
		select {
		case r, ok := <-replies:
			if !ok {
				return
			}
			late = m.handleReply(c, r, late)
		case <-late:
			late = nil
			m.setHealth(event.Unresponsive, fmt.Sprintf("QEMU has not answered for %s: its process is suspended, or the host gives it no time. Nothing is lost; the guest continues when the process does. "+
				"Look for the cause with `ps` or `top`; `rdd vm stop --force` ends the VM, and what its guest has not written is lost.", m.answerTimeout))
		case err := <-checked:
			next = time.Now().Add(m.guestInterval)
			m.guestAnswered(err)
		case now := <-ask.C:
			if !m.waiting && c.send("query-status") == nil {
				m.waiting = true
				late = time.After(m.answerTimeout)
			}
			if m.booted.Load() && m.health.Reason != event.Paused && (now.After(next) || m.misses > 0) {
				next = now.Add(time.Hour) // until this one is answered
				go func() {
					ctx, cancel := context.WithTimeout(ctx, m.answerTimeout)
					defer cancel()
					checked <- m.pingGuest(ctx)
				}()
			}
		}
	}
}

// handleReply handles a reply and returns when the next one is late.
func (m *Monitor) handleReply(c *qmpConn, r qmpReply, late <-chan time.Time) <-chan time.Time {
	if r.Event != "" {
		m.handleEvent(r)
		return late
	}
	var status struct{ Status string }
	if json.Unmarshal(r.Return, &status) != nil || status.Status == "" {
		return late // the answer to "cont"
	}
	m.waiting = false
	switch status.Status {
	case "io-error":
		m.setHealth(event.Paused, fmt.Sprintf("the guest is paused, because the disk of the host that holds %s is full. Nothing is lost: free some space (`df -h %s` shows how much there is), and the guest continues by itself.", m.disk, m.disk))
		_ = c.send("cont") // QEMU writes again, and pauses again if that fails
	case "paused", "suspended":
		m.setHealth(event.Paused, "the guest was paused from outside, over QEMU's control socket; continue it over that socket, or restart the VM with `rdd vm restart`.")
	default:
		if m.misses == 0 {
			m.setHealth("", "")
		}
	}
	return nil
}

// handleEvent records how the guest ends.
func (m *Monitor) handleEvent(r qmpReply) {
	switch r.Event {
	case "GUEST_PANICKED":
		m.ended = event.Panicked
	case "SHUTDOWN":
		var data struct{ Reason string }
		_ = json.Unmarshal(r.Data, &data)
		if m.ended != event.Panicked {
			m.ended = endings[data.Reason]
		}
	}
}

// endings maps QEMU's reasons for a shutdown (ShutdownCause in its QAPI schema) to how the guest ended.
var endings = map[string]string{
	"guest-shutdown":        event.PoweredOff,
	"guest-reset":           event.Rebooted,
	"host-qmp-system-reset": event.Rebooted,
	"guest-panic":           event.Panicked,
	"host-signal":           event.Killed,
	"host-qmp-quit":         event.Killed,
	"host-ui":               event.Killed,
}

// guestAnswered handles the result of a ping. The guest may miss one before it is reported.
func (m *Monitor) guestAnswered(err error) {
	switch {
	case m.health.Reason == event.Paused || m.waiting: // it can't answer
	case err == nil:
		m.misses = 0
		m.setHealth("", "")
	default:
		if m.misses++; m.misses >= m.maxMisses {
			m.setHealth(event.Unresponsive, fmt.Sprintf("the guest runs but does not answer: %v. It hangs, or is short of memory or processor time. `rdd vm logs --source serial` shows its console; "+
				"`rdd vm restart` restarts it, and `rdd vm stop --force` ends it, when it does not recover.", err))
		}
	}
}

// setHealth reports the VM's health when it has changed.
func (m *Monitor) setHealth(reason, message string) {
	if m.health.Reason == reason {
		return
	}
	m.health = event.Health{Reason: reason, Message: message}
	m.report(event.Event{Health: &m.health})
}
