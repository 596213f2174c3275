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
	vm     layout.VM
	nonce  string // empty for one that was adopted before it had written its record and its first event
	pid    int
	events reader

	unrecorded bool  // its record is missing, damaged or the last hostagent's, so only its lock identifies it
	logged     int64 // offset in the log file at which its log begins; 0 when unknown

	exited <-chan struct{} // closed when our child has ended; nil for an adopted hostagent
	status error           // how it ended, once exited is closed

	stopRequested bool
	answered      bool // the guest has answered
	failure       *event.Failure
	ended         string              // how a guest ended that nobody asked to stop; see package event
	trouble       map[string][]string // what doesn't work, by event.Trouble.Source
	ports         event.PortList
}

// byGuest reports whether the guest has run and then powered itself off or rebooted.
func (h *hostagent) byGuest() bool {
	return h.answered && (h.ended == event.PoweredOff || h.ended == event.Rebooted)
}

// adopt returns the hostagent that runs, nil when there is none.
func (w *worker) adopt() (*hostagent, error) {
	held, err := proc.Held(w.vm.HostagentLock())
	if err != nil || !held {
		return nil, err
	}
	r, err := w.vm.ReadRecord()
	if err != nil || r.Nonce == "" || !proc.Holds(r.PID, w.vm.HostagentLock()) {
		pid, holderErr := w.findHolder()
		switch {
		case holderErr == nil:
			nonce := firstNonce(w.vm.Events())
			if nonce == r.Nonce {
				nonce = "" // these are the last hostagent's events, too
			}
			return &hostagent{vm: w.vm, nonce: nonce, pid: pid, unrecorded: true, events: reader{path: w.vm.Events(), nonce: nonce}}, nil
		case errors.Is(holderErr, proc.ErrGone) && r.Nonce == "":
			return nil, nil
		case err != nil || r.Nonce == "":
			return nil, errors.Join(err, holderErr)
		}
	}
	return &hostagent{vm: w.vm, nonce: r.Nonce, pid: r.PID, events: reader{path: layout.VM{Logs: r.Logs}.Events(), nonce: r.Nonce}}, nil
}

// findHolder returns the process that holds the hostagent's lock, and proc.ErrGone when none does. A process that is about to end
// still holds its locks when /proc no longer shows its files, so findHolder waits for that end.
func (w *worker) findHolder() (pid int, err error) {
	lock := w.vm.HostagentLock()
	for began := time.Now(); ; {
		pid, err := proc.Holder(lock)
		if !errors.Is(err, proc.ErrGone) {
			return pid, err
		}
		if held, e := proc.Held(lock); e != nil || !held {
			return 0, errors.Join(err, e)
		}
		if time.Since(began) > w.timeouts.endTimeout {
			return 0, fmt.Errorf("a process that can't be found holds %s; does it belong to another user?", lock)
		}
		time.Sleep(w.timeouts.busyInterval)
	}
}

// firstNonce returns the nonce in the first event at path, empty when there is none.
func firstNonce(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	e, _ := event.Parse(line)
	return e.Nonce
}

// spawn starts a hostagent in a session of its own, so that no Ctrl-C reaches it. The hostagent holds its lock from the start, so
// that whoever looks when this process has died finds it, also before it has done anything.
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
	cmd := exec.Command(w.config.Program, args...)
	cmd.Dir = w.vm.Home
	cmd.Stderr = log
	if err := w.spawnWithLock(cmd, nonce); err != nil {
		return fmt.Errorf("start the hostagent of VM %q: %w", w.vm.Name, err)
	}
	exited := make(chan struct{})
	a := &hostagent{vm: w.vm, nonce: nonce, pid: cmd.Process.Pid, logged: logged, exited: exited, events: reader{path: w.vm.Events(), nonce: nonce}}
	go func() {
		a.status = cmd.Wait()
		close(exited)
	}()
	w.hostagent = a
	w.change(func(s *State) {
		s.Phase, s.SSHPort, s.Problems, s.Health, s.Ports = Starting, 0, nil, Health{}, nil
		s.Progress = &Progress{Phase: event.Boot, Message: "starting the hostagent; its log is " + w.vm.HostagentLog(), StartedAt: time.Now()}
	})
	return nil
}

// spawnWithLock starts cmd for the VM, passes the hostagent's lock to it, and writes its record, which it writes itself later. So
// nobody takes it for the hostagent before it. If another process holds the lock, cmd tries to take it itself, and ends.
func (w *worker) spawnWithLock(cmd *exec.Cmd, nonce string) error {
	if err := os.MkdirAll(w.vm.Run(), 0o700); err != nil {
		return err
	}
	lock, err := proc.Acquire(w.vm.HostagentLock())
	if errors.Is(err, proc.ErrLocked) {
		cmd.Args = append(cmd.Args, w.vm.Name)
		return proc.Spawn(cmd)
	}
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }() // cmd still holds it
	id, err := lock.Pass(cmd)
	if err != nil {
		return err
	}
	cmd.Args = append(cmd.Args, "--lock", id, w.vm.Name)
	if err := proc.Spawn(cmd); err != nil {
		return err
	}
	if err := w.vm.WriteRecord(layout.Record{Nonce: nonce, PID: cmd.Process.Pid, Logs: w.vm.Logs}); err != nil {
		w.config.Log.Warn("VM: the record of its hostagent can't be written", "vm", w.vm.Name, "error", err) // nor by the hostagent, which ends
	}
	return nil
}

// alive reports whether this hostagent still runs.
func (h *hostagent) alive() bool {
	if h.exited != nil {
		select {
		case <-h.exited:
			return false
		default:
			return true // our child, not waited for: no other process can have its PID
		}
	}
	held, err := proc.Held(h.vm.HostagentLock())
	if err != nil || !held {
		return false
	}
	r, err := h.vm.ReadRecord()
	if h.unrecorded && (err != nil || r.PID != h.pid) {
		if proc.Holds(h.pid, h.vm.HostagentLock()) {
			return true
		}
		pid, err := proc.Holder(h.vm.HostagentLock())
		return err != nil || pid == h.pid // nobody is seen to hold it while this hostagent ends
	}
	return err == nil && r.Nonce == h.nonce && r.PID == h.pid
}

// ownsPID reports whether the PID still is this hostagent's, so that it may be signalled. A hostagent takes its lock before
// it writes its record, so for a moment the record is an earlier one's.
func (h *hostagent) ownsPID() bool {
	return h.alive() && (h.exited != nil || proc.Holds(h.pid, h.vm.HostagentLock()))
}

// signal asks the hostagent to power its guest off (proc.Interrupt) or ends it (proc.Kill), unless it has ended.
func (h *hostagent) signal(send func(pid int, owned func() bool) error) error {
	h.stopRequested = true
	if err := send(h.pid, h.ownsPID); !errors.Is(err, proc.ErrGone) {
		return err
	}
	return nil
}

// errEnded means that the hostagent has ended.
var errEnded = errors.New("the hostagent has ended")

// follow turns the hostagent's events into state until the VM reaches the phase or ctx ends. It returns errEnded when the
// hostagent has ended. No VM with a hostagent reaches Unknown: with that, follow waits for the end.
func (w *worker) follow(ctx context.Context, until Phase) error {
	a := w.hostagent
	for {
		gone := !a.alive() // before the events are read, so that the last ones are not missed
		w.readEvents(a)
		s := w.snapshot()
		switch {
		case gone:
			return errEnded
		case s.Phase == until:
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
