package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// What an earlier service has left of a VM, and what this one did with it.
const (
	foundHostagent = "its hostagent kept running while the service was down, and the service uses it again"
	foundQEMU      = "its hostagent had died and left a QEMU running, which was asked to power off and has stopped"
	foundCrash     = "its hostagent had died while no service ran, and its guest with it"
)

// reportFound writes to the log and the state what an earlier service has left. The state keeps it until the VM is asked to
// stop.
func (w *worker) reportFound(what string) {
	w.config.Log.Warn("VM: found at the start", "vm", w.vm.Name, "found", what)
	w.change(func(s *State) { s.Found = what })
}

// recordCrash reports whether the last hostagent, which does not run, has died without reporting its exit. It adds the
// exit to the events, so that the next probe doesn't report it again.
func (w *worker) recordCrash() (died bool, err error) {
	r, err := w.vm.ReadRecord()
	if _, damaged := errors.AsType[*atomicfile.DamagedError](err); damaged {
		return false, nil // the next hostagent writes its own
	}
	if err != nil || r.Nonce == "" {
		return false, err
	}
	path := layout.VM{Logs: r.Logs}.Events()
	exiting := false
	events := reader{path: path, nonce: r.Nonce}
	err = events.read(func(e event.Event) { exiting = exiting || e.Exiting })
	if os.IsNotExist(err) || err == nil && (exiting || !events.found) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if len(events.rest) > 0 { // it died in the middle of a line
		if _, err := fmt.Fprintln(f); err != nil {
			return false, err
		}
	}
	return true, event.NewWriter(f).Write(event.Event{Exiting: true, Failure: &event.Failure{Message: "the hostagent has died"}})
}

// probe finds out what exists of the VM when the worker begins, and reports what an earlier service has left.
func (w *worker) probe(ctx context.Context) {
	orphan, _ := proc.Held(w.vm.QEMULock()) // reconcile returns the error
	err := w.reconcile(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		if w.snapshot().Phase == Unknown {
			w.phase(Stopped)
		}
		w.fail(Stop, fmt.Errorf("find out what there is of VM %q: %w", w.vm.Name, err))
	case w.hostagent != nil:
		w.reportFound(foundHostagent)
	case orphan:
		w.reportFound(foundQEMU)
	case w.crashed:
		w.reportFound(foundCrash)
	}
}

// reconcile sets the state to what exists of the VM. It adopts a hostagent, ends a QEMU that outlived its hostagent, and
// completes an interrupted removal. After an error, the worker repeats it when it has no job.
func (w *worker) reconcile(ctx context.Context) error { return w.reconciled(w.settle(ctx)) }

// reconciled records whether a reconcile has failed, and returns its error.
func (w *worker) reconciled(err error) error {
	switch {
	case err == nil:
		w.retry = 0
	case w.retry > 0 && errors.Is(err, errReplaced): // it was given up, and has not failed
	default:
		w.retry = min(max(2*w.retry, w.timeouts.retryInterval), maxRetryInterval)
	}
	return err
}

// reconcileAgain repeats a reconcile that has failed, after a pause. The controller waits for that: the phase, such as Stopping,
// says that something is under way.
func (w *worker) reconcileAgain(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(w.retry):
	}
	switch err := w.reconcile(ctx); {
	case err == nil:
		w.change(func(s *State) {
			if !s.Failure.ofStart() {
				s.Failure = nil
			}
		})
	case ctx.Err() == nil:
		w.failLeft(err)
	}
}

// failLeft records why what is left of the VM can't be ended or removed. It keeps the reason why the VM does not run: the user
// and the controller need that one, and the log has both.
func (w *worker) failLeft(err error) {
	f := w.newFailure(Stop, err)
	w.change(func(s *State) {
		if !s.Failure.ofStart() {
			s.Failure = f
		}
		s.Progress = nil
	})
}

// settle does the work of reconcile.
func (w *worker) settle(ctx context.Context) error {
	a, err := w.adopt()
	if err != nil {
		return err
	}
	if a != nil {
		w.hostagent = a
		w.phase(Starting)
		w.readEvents(a)
		return nil
	}
	if w.crashed, err = w.recordCrash(); err != nil {
		w.config.Log.Warn("VM: how its last hostagent ended can't be found out", "vm", w.vm.Name, "error", err)
	}
	held, err := proc.Held(w.vm.QEMULock())
	if err == nil && held {
		w.phase(Stopping)
		err = w.runCommand(ctx, nil, "clear")
	}
	if err != nil {
		return err
	}
	if w.vm.Unfinished() {
		w.phase(Removing)
		if err := w.runCommand(ctx, nil, "remove", "--keep-data"); err != nil { // whoever wants the data gone asks again
			return err
		}
	}
	names, err := w.vm.Contents()
	switch {
	case err != nil:
		return err
	case len(names) == 0:
		w.removeEmptyDir()
		w.stopped(Absent)
	default: // a VM, or something that the next preparation has to check
		w.stopped(Stopped)
	}
	return nil
}

// removeEmptyDir removes what is left when a removal or a creation was killed beside its last or first file. A mount point or a
// link stays: the user has put it there for the next disk.
func (w *worker) removeEmptyDir() {
	if info, err := os.Lstat(w.vm.Dir()); err == nil && info.IsDir() {
		_ = os.Remove(w.vm.Dir())
	}
}

// stopped sets the state of a VM without processes.
func (w *worker) stopped(p Phase) {
	data, disks := w.vm.HasData(), w.vm.Disks()
	w.change(func(s *State) {
		s.Phase, s.Progress, s.SSHPort, s.Problems, s.Health, s.Ports = p, nil, 0, nil, Health{}, nil
		s.HasData, s.Disks = data, disks
	})
}
