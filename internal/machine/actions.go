package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/proc"
)

// prepare makes the VM's disk and configuration. It does nothing for a VM that runs: its next start prepares it.
func (w *worker) prepare(ctx context.Context, r Request) error {
	if w.hostagent != nil {
		return nil
	}
	if err := w.make(ctx, r); err != nil {
		return errors.Join(err, w.reconcile(context.WithoutCancel(ctx))) // the state first, then the failure
	}
	w.phase(Stopped)
	return nil
}

func (w *worker) make(ctx context.Context, r Request) error {
	w.phase(Preparing)
	w.prepared, w.boots = 0, r.Action == Start
	defer func() { w.boots = false }()
	return w.runCommand(ctx, &event.Job{Template: string(r.Template), Params: r.Params, DataDisk: r.DataDisk, ReplaceSystemDisk: r.Replace}, "prepare", "--share", w.config.ShareDir)
}

// start brings the VM to Running, whatever its phase.
func (w *worker) start(ctx context.Context, r Request) error {
	if w.hostagent != nil && w.hostagent.stopRequested {
		w.phase(Stopping)
		if err := w.awaitEnd(ctx); err != nil {
			return err
		}
	}
	if w.hostagent == nil {
		err := w.make(ctx, r)
		if err == nil {
			err = w.spawn(r.Acceleration)
		}
		if err != nil {
			return errors.Join(err, w.reconcile(context.WithoutCancel(ctx)))
		}
	}
	for {
		err := w.follow(ctx, Running)
		if !errors.Is(err, errEnded) {
			return err
		}
		a := w.hostagent
		w.hostagent = nil
		err = w.reconcile(context.WithoutCancel(ctx))
		if err != nil || w.hostagent == nil {
			return errors.Join(w.exitReason(a), err)
		}
		// Another service has started a hostagent before this one did. This worker has adopted it.
	}
}

// stop asks the guest to power off, and waits for that without a limit. After stopTimeout the state says that the stop is
// late.
func (w *worker) stop(ctx context.Context) error {
	if w.hostagent == nil {
		if err := w.reconcile(ctx); err != nil || w.hostagent == nil {
			return err
		}
	}
	if err := w.hostagent.signal(proc.Interrupt); err != nil {
		return fmt.Errorf("ask the hostagent of VM %q to stop: %w", w.vm.Name, err)
	}
	w.change(func(s *State) {
		s.Phase = Stopping
		s.Progress = &Progress{Phase: event.Stop, Message: "asking the guest to power off", StartedAt: time.Now()}
	})
	return w.awaitEnd(ctx)
}

// awaitEnd waits for the end of a hostagent that was asked to stop.
func (w *worker) awaitEnd(ctx context.Context) error {
	late := time.AfterFunc(w.timeouts.stopTimeout, func() {
		message := fmt.Sprintf("the guest of VM %q has not powered off within %s; still waiting. `rdd vm stop --force` ends it immediately, and unwritten data is lost. Its console: %s",
			w.vm.Name, w.timeouts.stopTimeout, w.vm.SerialLog())
		w.change(func(s *State) {
			if s.Phase == Stopping {
				s.Failure = &Failure{Action: Stop, Message: message, At: time.Now()}
			}
		})
	})
	defer late.Stop()
	if err := w.follow(ctx, Unknown); !errors.Is(err, errEnded) {
		return err
	}
	w.hostagent = nil
	w.change(func(s *State) { s.Failure = nil }) // it is no longer late
	return w.reconcile(ctx)
}

// kill ends the VM immediately.
func (w *worker) kill(ctx context.Context) error {
	if a := w.hostagent; a != nil {
		w.phase(Stopping)
		if err := a.signal(proc.Kill); err != nil {
			return fmt.Errorf("kill the hostagent of VM %q: %w", w.vm.Name, err)
		}
		if err := w.follow(ctx, Unknown); !errors.Is(err, errEnded) {
			return err
		}
		w.hostagent = nil
	}
	held, err := proc.Held(w.vm.QEMULock())
	if err == nil && held {
		w.phase(Stopping)
		err = w.runCommand(ctx, nil, "clear", "--kill")
	}
	if err != nil {
		return w.reconciled(err)
	}
	return w.reconcile(ctx)
}

// remove ends the VM immediately and removes its disks and configuration, with keepData not the data disk. It also removes the
// logs, or with KeepLogs copies the guest's console to them.
func (w *worker) remove(ctx context.Context, keepData bool) error {
	if err := w.kill(ctx); err != nil {
		return err
	}
	w.phase(Removing)
	if w.config.KeepLogs {
		w.keepConsole()
	}
	var flags []string
	if keepData {
		flags = []string{"--keep-data", "--keep-images"} // the next disk is made of the same images
	}
	if err := w.runCommand(ctx, nil, "remove", flags...); err != nil {
		return errors.Join(err, w.reconcile(context.WithoutCancel(ctx)))
	}
	w.removeLogs()
	w.stopped(Absent)
	return nil
}

// removeLogs removes the logs of a VM that was removed, unless they are kept.
func (w *worker) removeLogs() {
	if w.config.KeepLogs {
		return
	}
	if err := os.RemoveAll(w.vm.Logs); err != nil {
		w.config.Log.Warn("VM: its logs can't be removed", "vm", w.vm.Name, "error", err)
	}
}

// keepConsole copies the guest's console from the VM's directory to its logs. The removal goes on when it can't.
func (w *worker) keepConsole() {
	b, err := os.ReadFile(w.vm.SerialLog())
	if err == nil {
		err = os.MkdirAll(w.vm.Logs, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(w.vm.Logs, filepath.Base(w.vm.SerialLog())), b, 0o600)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.config.Log.Warn("VM: its console can't be kept", "vm", w.vm.Name, "error", err)
	}
}
