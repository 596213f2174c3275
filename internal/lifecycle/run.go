package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/datastore/storefile"
	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/proc"
)

// ErrRunning means that another process has the instance.
var ErrRunning = errors.New("another service process already runs for this instance")

// ErrNotStopped means that a command needs the service to be stopped.
var ErrNotStopped = errors.New("the service is running; stop it first with: rdd svc stop")

// Run is the service's side: it calls serve and publishes each phase of it in the record, which only Run writes from here on.
// The context of serve has ended if the run was asked to stop before. If the record can't be written, no client can follow the
// run, so it ends: the cause of the context is a *RecordError then. Run doesn't release the claim. The process holds that until
// it exits: once a client sees that the service has stopped, there is no process, and nothing writes to the log.
func Run(ctx context.Context, inst instance.Instance, claim *Claim, version string, log *slog.Logger, serve func(ctx context.Context, publish func(Record)) error) (err error) {
	nonce := claim.Nonce
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	warning := ""
	publish := func(r Record) {
		if r.Warning != "" {
			warning = r.Warning
		}
		r.Nonce, r.PID, r.Version, r.Warning, r.SearchPath = nonce, os.Getpid(), version, warning, inst.SearchPath()
		if err := write(inst, r); err != nil {
			log.Error("the record of this run can't be written", "err", err)
			cancel(err)
		}
	}
	defer func() {
		if err != nil {
			known, _ := diag.Of(err)
			publish(Record{Phase: Failed, Error: err.Error(), Problem: string(known.ID)})
		} else {
			publish(Record{Phase: Stopped})
		}
		_ = os.Remove(inst.RunLock(nonce)) // on Windows, where a file in use can't be removed, the next run does this
	}()
	publish(Record{Phase: Starting, Step: "taking over the instance"})
	if stopRequested(inst, nonce) { // before there was a process to signal
		stop()
	}
	completeDiscards(ctx, inst, log, func() { publish(Record{Phase: Starting, Step: "removing what an interrupted reset left"}) })
	if ctx.Err() != nil || running.Err() == nil {
		err = serve(running, publish)
	}
	if ctx.Err() == nil { // it was not asked to stop
		return errors.Join(err, context.Cause(running))
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx)) {
		log.Info("asked to stop while it was starting", "err", err)
		return nil // a stop is no failure
	}
	return err
}

// RecordError says that the record of a run can't be written.
type RecordError struct {
	Path string
	Err  error
}

func (e *RecordError) Error() string {
	return fmt.Sprintf("write the service's record %s: %v", e.Path, e.Err)
}
func (e *RecordError) Unwrap() error { return e.Err }

func write(inst instance.Instance, r Record) error {
	if err := atomicfile.WriteJSON(inst.RecordFile(), r); err != nil {
		return &RecordError{inst.RecordFile(), err}
	}
	return nil
}

// Remove deletes every file of an instance whose service is stopped. It removes the lock file last, so that no run can begin
// with half of the files.
func Remove(inst instance.Instance) error {
	lock, err := acquireStopped(inst)
	if err != nil {
		return err
	}
	return removeLocked(inst, lock)
}

func removeLocked(inst instance.Instance, lock *proc.Lock) error {
	if err := removeFiles(inst); err != nil {
		return errors.Join(fmt.Errorf("%w: remove it by hand, or try again", err), lock.Release())
	}
	if err := lock.Remove(); err != nil {
		return err
	}
	err := os.Remove(inst.DataDir())
	if left, _ := os.ReadDir(inst.DataDir()); len(left) > 0 {
		return nil // a start that waited for the lock has created the instance again
	}
	return err
}

// removeFiles removes all files of the instance except its lock.
func removeFiles(inst instance.Instance) error {
	if err := removeState(inst); err != nil {
		return err
	}
	paths := []string{inst.ShortDir()}
	if !inst.KeepLogs() {
		paths = append(paths, inst.LogDir())
	}
	entries, err := os.ReadDir(inst.DataDir())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if path := filepath.Join(inst.DataDir(), e.Name()); path != inst.LockFile() {
			paths = append(paths, path)
		}
	}
	for _, path := range paths {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	if !inst.KeepLogs() {
		_ = os.Remove(filepath.Dir(inst.LogDir())) // the instance's own folder, if it is empty now
	}
	return nil
}

// Reset removes the VMs and the datastore of an instance whose service is stopped. It keeps the settings, the identity of the
// control plane, the backups, and the logs of the service.
func Reset(inst instance.Instance) error {
	return WhileStopped(inst, func() error {
		var err error
		if !inst.KeepLogs() {
			err = os.RemoveAll(inst.VMLogDir()) // before the objects: without these, nothing else would remove it
		}
		if err == nil {
			err = removeState(inst)
		}
		if err == nil {
			err = os.RemoveAll(inst.RecordFile())
		}
		if err != nil {
			return fmt.Errorf("%w: remove it by hand, or try again", err)
		}
		return nil
	})
}

// removeState removes the VMs and the datastore. The next start may find any part of what it removes, so the marks go first:
// a start takes a store that is missing and has a mark for a loss.
func removeState(inst instance.Instance) error {
	if err := storefile.RemoveMarks(inst.StoreDir()); err != nil {
		return err
	}
	for _, dir := range discardable(inst) {
		if err := discard(inst, dir); err != nil {
			return err
		}
	}
	return nil
}

// discardable lists what discard removes. The disks go first: an interrupted removal then leaves objects without disks, which
// get new ones, and not disks without objects. What a restore has left goes before the store, whose place it would take.
func discardable(inst instance.Instance) []string {
	return []string{inst.LimaHome(), storefile.Restoring(inst.StoreDir()), inst.StoreDir()}
}

// discarded is the name of a directory while discard removes it.
func discarded(dir string) string { return dir + ".removing" }

// discard removes a directory in one step and then its content. If this process is killed in between, no start takes a part
// of it for the whole, and the next start removes the rest.
func discard(inst instance.Instance, dir string) error {
	_ = removeDiscarded(inst, dir)     // of an earlier discard
	_ = os.Rename(dir, discarded(dir)) // a mount point can't be renamed: its content is removed where it is
	_ = removeDiscarded(inst, dir)
	return errors.Join(os.RemoveAll(discarded(dir)), os.RemoveAll(dir)) // the error names the present path of what is left
}

// removeDiscarded removes what discard has renamed. If a disk is mounted on the folder of a VM, that folder can't be removed.
// Then the directory of the VMs gets its old name back, so that the VM finds the disk again. A store never does, because a
// start would use what is left of it.
func removeDiscarded(inst instance.Instance, dir string) error {
	err := os.RemoveAll(discarded(dir))
	if err != nil && dir == inst.LimaHome() {
		_ = os.Rename(discarded(dir), dir) // it fails if the old name is in use again
	}
	return err
}

// completeDiscards completes a reset or a deletion that was killed. It calls began if there is something to remove.
func completeDiscards(ctx context.Context, inst instance.Instance, log *slog.Logger, began func()) {
	for _, dir := range discardable(inst) {
		if !exists(discarded(dir)) || ctx.Err() != nil {
			continue
		}
		began()
		if err := removeDiscarded(inst, dir); err != nil {
			log.Warn("what an interrupted reset has left can't be removed", "err", err)
		}
	}
}

// Forget removes the record of the last run, after its datastore was replaced. The caller holds the instance's lock.
func Forget(inst instance.Instance) error { return os.RemoveAll(inst.RecordFile()) }

// WhileStopped calls fn while it holds the instance's lock, so that no service can start.
func WhileStopped(inst instance.Instance, fn func() error) error {
	lock, err := acquireStopped(inst)
	if err != nil {
		return err
	}
	return errors.Join(fn(), lock.Release())
}

// acquireStopped takes the instance's lock for a command.
func acquireStopped(inst instance.Instance) (*proc.Lock, error) {
	lock, err := proc.Acquire(inst.LockFile())
	if errors.Is(err, proc.ErrLocked) {
		return nil, ErrNotStopped
	}
	return lock, err
}
