package machine

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// hostagent is a hostagent process that runs or has run. Its lock and its nonce identify it: it outlives this process,
// and the next service adopts it.
type hostagent struct {
	nonce  string
	pid    int
	events reader

	unrecorded bool  // its record is missing or damaged; it is known by its lock
	logged     int64 // where its log begins in the file; 0 when that is not known

	exited <-chan struct{} // closed when our child has ended; nil for an adopted one
	status error           // how it ended, once exited is closed

	stopRequested bool // to stop
	answered      bool // the guest has answered
	failure       *event.Failure
	ended         string              // how the guest ended that nobody asked to stop; see package event
	trouble       map[string][]string // what doesn't work, by who says so
}

// byGuest reports whether a guest that ran has ended by itself, in order.
func (h *hostagent) byGuest() bool {
	return h.answered && (h.ended == event.PoweredOff || h.ended == event.Rebooted)
}

// adopt finds a hostagent that runs; nil when there is none.
func (w *worker) adopt() (*hostagent, error) {
	held, err := proc.Held(w.vm.HostagentLock())
	if err != nil || !held {
		return nil, err
	}
	r, err := w.vm.ReadRecord()
	if err != nil || r.Nonce == "" {
		pid, holderErr := proc.Holder(w.vm.HostagentLock())
		switch {
		case holderErr == nil:
			nonce := firstNonce(w.vm.Events())
			return &hostagent{nonce: nonce, pid: pid, unrecorded: true, events: reader{path: w.vm.Events(), nonce: nonce}}, nil
		case errors.Is(holderErr, proc.ErrGone):
			return nil, nil
		case err != nil:
			return nil, errors.Join(err, holderErr)
		}
	}
	return &hostagent{nonce: r.Nonce, pid: r.PID, events: reader{path: layout.VM{Logs: r.Logs}.Events(), nonce: r.Nonce}}, nil
}

// firstNonce is the nonce of the run whose events are at path, which says it first; empty when there is none.
func firstNonce(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	e, _ := event.Parse(line)
	return e.Nonce
}

// spawn starts a hostagent in its own session, so that no Ctrl-C reaches it.
func (w *worker) spawn(acceleration string) error {
	if err := os.MkdirAll(w.vm.Logs, 0o700); err != nil {
		return fmt.Errorf("make the log directory of VM %q: %w", w.vm.Name, err)
	}
	log, err := os.OpenFile(w.vm.HostagentLog(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log of VM %q: %w", w.vm.Name, err)
	}
	defer log.Close()
	logged, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("open the log of VM %q: %w", w.vm.Name, err)
	}
	nonce := rand.Text()
	args := []string{"hostagent", "--lima-home", w.vm.Home, "--log-dir", w.vm.Logs, "--share", w.config.ShareDir, "--nonce", nonce}
	if acceleration != "" {
		args = append(args, "--acceleration", acceleration)
	}
	cmd := exec.Command(w.config.Program, append(args, w.vm.Name)...)
	cmd.Dir = w.vm.Home
	cmd.Stderr = log
	if err := proc.Spawn(cmd); err != nil {
		return fmt.Errorf("start the hostagent of VM %q: %w", w.vm.Name, err)
	}
	exited := make(chan struct{})
	a := &hostagent{nonce: nonce, pid: cmd.Process.Pid, logged: logged, exited: exited, events: reader{path: w.vm.Events(), nonce: nonce}}
	go func() {
		a.status = cmd.Wait()
		close(exited)
	}()
	w.hostagent = a
	w.change(func(s *State) {
		s.Phase, s.SSHPort, s.Problems, s.Health = Starting, 0, nil, Health{}
		s.Progress = &Progress{Phase: event.Boot, Message: "starting the hostagent; its log is " + w.vm.HostagentLog(), StartedAt: time.Now()}
	})
	return nil
}

// aliveFunc returns a function that reports whether this hostagent still runs.
func (h *hostagent) aliveFunc(vm layout.VM) func() bool {
	return func() bool {
		if h.exited != nil {
			select {
			case <-h.exited:
				return false
			default:
				return true // our child, not waited for: nobody else can have its number
			}
		}
		held, err := proc.Held(vm.HostagentLock())
		if err != nil || !held {
			return false
		}
		r, err := vm.ReadRecord()
		if h.unrecorded && (err != nil || r.Nonce == "") {
			return proc.Holds(h.pid, vm.HostagentLock())
		}
		return err == nil && r.Nonce == h.nonce && r.PID == h.pid
	}
}

// ownsPIDFunc returns a function that reports whether the PID still is this hostagent's, so that it may be signalled. A
// hostagent takes its lock before it writes its record, so for a moment the record is an earlier one's.
func (h *hostagent) ownsPIDFunc(vm layout.VM) func() bool {
	return func() bool {
		return h.aliveFunc(vm)() && (h.exited != nil || proc.Holds(h.pid, vm.HostagentLock()))
	}
}

// interrupt asks the hostagent to power its guest off.
func (h *hostagent) interrupt(vm layout.VM) error {
	h.stopRequested = true
	return proc.Interrupt(h.pid, h.ownsPIDFunc(vm))
}

// kill ends the hostagent at once.
func (h *hostagent) kill(vm layout.VM) error {
	h.stopRequested = true
	return proc.Kill(h.pid, h.ownsPIDFunc(vm))
}

// errEnded means that the hostagent has ended.
var errEnded = errors.New("the hostagent has ended")

// follow turns the hostagent's events into state until enough returns true or ctx ends. It returns errEnded when the
// hostagent has ended.
func (w *worker) follow(ctx context.Context, enough func(State) bool) error {
	a := w.hostagent
	for {
		gone := !a.aliveFunc(w.vm)() // before reading: what it wrote last is there then
		w.readEvents(a)
		s := w.snapshot()
		switch {
		case gone:
			return errEnded
		case enough(s):
			return nil
		}
		w.markOverdue(s)
		pause := w.timeouts.runningInterval
		if s.Phase != Running {
			pause = w.timeouts.busyInterval
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-a.exited:
		case <-time.After(pause):
		}
	}
}
