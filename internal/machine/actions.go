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

// look finds out what there is of the VM, when the worker begins, and says what is odd about it.
func (w *worker) look(ctx context.Context) {
	orphan, err := proc.Held(w.vm.QEMULock())
	if err == nil {
		err = w.settle(ctx)
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		if w.snapshot().Phase == Unknown {
			w.phase(Stopped)
		}
		w.fail(Stop, fmt.Errorf("find out what there is of VM %q: %w", w.vm.Name, err))
	case w.agent != nil:
		w.found(foundAgent)
	case orphan:
		w.found(foundQEMU)
	case w.died:
		w.found(foundDeath)
	}
}

// settle says what there is of a VM that this worker doesn't run: a hostagent, which it adopts; a
// QEMU that outlived one, which it ends; a disk, or nothing.
func (w *worker) settle(ctx context.Context) error {
	a, err := w.adopt()
	if err != nil {
		return err
	}
	if a != nil {
		w.agent = a
		w.phase(Starting)
		w.readEvents(a)
		return nil
	}
	if w.died, err = w.noteDeath(); err != nil {
		w.config.Log.Warn("VM: how its last hostagent ended can't be found out", "vm", w.vm.Name, "error", err)
	}
	held, err := proc.Held(w.vm.QEMULock())
	if err == nil && held {
		w.phase(Stopping)
		err = w.child(ctx, nil, "clear")
	}
	if err != nil {
		return err
	}
	if w.vm.Unfinished() {
		if err := w.child(ctx, nil, "remove"); err != nil {
			return err
		}
	}
	names, err := w.vm.Contents()
	switch {
	case err != nil:
		return err
	case len(names) == 0:
		w.down(Absent)
	default: // whole, or what a preparation has to judge
		w.down(Stopped)
	}
	return nil
}

// down says that nothing of the VM lives.
func (w *worker) down(p Phase) {
	w.change(func(s *State) { s.Phase, s.Progress, s.SSHPort, s.Problems, s.Health = p, nil, 0, nil, Health{} })
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// prepare makes the VM's disk and configuration. Those of a VM that runs are left for its next start.
func (w *worker) prepare(ctx context.Context, r Request) error {
	if w.agent != nil {
		return nil
	}
	if err := w.make(ctx, r); err != nil {
		// What is there now is said before the failure, which belongs to it.
		return errors.Join(err, w.settle(context.WithoutCancel(ctx)))
	}
	w.phase(Stopped)
	return nil
}

func (w *worker) make(ctx context.Context, r Request) error {
	w.phase(Preparing)
	w.prepared, w.boots = 0, r.Action == Start
	defer func() { w.boots = false }()
	job, err := event.Job{Template: string(r.Template), Params: r.Params}.Bytes()
	if err != nil {
		return err
	}
	return w.child(ctx, job, "prepare", "--share", w.config.ShareDir)
}

// start brings the VM to Running, from wherever it is.
func (w *worker) start(ctx context.Context, r Request) error {
	if w.agent != nil && w.agent.asked {
		w.phase(Stopping)
		if err := w.awaitEnd(ctx); err != nil {
			return err
		}
	}
	if w.agent == nil {
		if err := w.make(ctx, r); err != nil {
			return errors.Join(err, w.settle(context.WithoutCancel(ctx)))
		}
		if err := w.spawn(r.Acceleration); err != nil {
			return errors.Join(err, w.settle(context.WithoutCancel(ctx)))
		}
	}
	for {
		err := w.follow(ctx, func(s State) bool { return s.Phase == Running })
		if !errors.Is(err, errEnded) {
			return err
		}
		a := w.agent
		w.agent = nil
		err = w.settle(context.WithoutCancel(ctx))
		if err != nil || w.agent == nil {
			return errors.Join(w.explain(a), err)
		}
		// Another service was quicker; its hostagent is ours now.
	}
}

// stop asks the guest to power off and waits, as long as it takes. After a while the state says that
// it takes long.
func (w *worker) stop(ctx context.Context) error {
	if w.agent == nil {
		if err := w.settle(ctx); err != nil || w.agent == nil {
			return err
		}
	}
	if err := w.agent.interrupt(w.vm); err != nil && !errors.Is(err, proc.ErrGone) {
		return fmt.Errorf("ask the hostagent of VM %q to stop: %w", w.vm.Name, err)
	}
	w.change(func(s *State) {
		s.Phase = Stopping
		s.Progress = &Progress{Phase: event.Stop, Message: "asking the guest to power off", StartedAt: time.Now()}
	})
	return w.awaitEnd(ctx)
}

// awaitEnd waits until the hostagent, which was asked to, has ended.
func (w *worker) awaitEnd(ctx context.Context) error {
	late := time.AfterFunc(w.timing.stop, func() {
		message := fmt.Sprintf("the guest of VM %q has not powered off within %s and is still being waited for; `rdd limavm stop --force` ends it at once, and what it has not written is lost. Its console: %s",
			w.vm.Name, w.timing.stop, w.vm.SerialLog())
		w.change(func(s *State) {
			if s.Phase == Stopping {
				s.Failure = &Failure{Action: Stop, Message: message, At: time.Now()}
			}
		})
	})
	defer late.Stop()
	err := w.follow(ctx, func(State) bool { return false })
	if !errors.Is(err, errEnded) {
		return err
	}
	w.agent = nil
	w.change(func(s *State) { s.Failure = nil }) // late, perhaps, but no more
	return w.settle(ctx)
}

// kill ends the VM at once.
func (w *worker) kill(ctx context.Context) error {
	if a := w.agent; a != nil {
		w.phase(Stopping)
		if err := a.kill(w.vm); err != nil && !errors.Is(err, proc.ErrGone) {
			return fmt.Errorf("kill the hostagent of VM %q: %w", w.vm.Name, err)
		}
		if err := w.follow(ctx, func(State) bool { return false }); !errors.Is(err, errEnded) {
			return err
		}
		w.agent = nil
	}
	held, err := proc.Held(w.vm.QEMULock())
	if err != nil {
		return err
	}
	if held {
		w.phase(Stopping)
		if err := w.child(ctx, nil, "clear", "--kill"); err != nil {
			return err
		}
	}
	return w.settle(ctx)
}

// remove ends the VM at once and removes its disk and configuration, and its logs or else keeps the
// guest's console with them.
func (w *worker) remove(ctx context.Context) error {
	if err := w.kill(ctx); err != nil {
		return err
	}
	w.phase(Removing)
	if w.config.KeepLogs {
		w.keepConsole()
	}
	if err := w.child(ctx, nil, "remove"); err != nil {
		return errors.Join(err, w.settle(context.WithoutCancel(ctx)))
	}
	if !w.config.KeepLogs {
		if err := os.RemoveAll(w.vm.Logs); err != nil {
			w.config.Log.Warn("VM: its logs can't be removed", "vm", w.vm.Name, "error", err)
		}
	}
	w.phase(Absent)
	return nil
}

// keepConsole copies the guest's console from the VM's directory to its logs. Without it the VM still
// can go.
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
