package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/proc"
)

// ErrNotStopped means that the instance can't be changed now.
var ErrNotStopped = errors.New("the service is running; stop it first with: rdd svc stop")

// ErrRunning means that another process serves the instance.
var ErrRunning = errors.New("another service process already runs for this instance")

// Run is the service's side: it holds the lock while serve runs and publishes each phase. It is
// the only writer of the record. It lets go of the lock only with the process, so that whoever finds
// the instance stopped finds no process, and nothing writes to its log any more.
func Run(ctx context.Context, inst instance.Instance, nonce, version string, log *slog.Logger, serve func(ctx context.Context, publish func(Record)) error) (err error) {
	lock, err := proc.Acquire(inst.LockFile())
	if errors.Is(err, proc.ErrLocked) {
		return ErrRunning
	}
	if err != nil {
		return err
	}
	own, err := takeRunLock(inst, nonce)
	if err != nil {
		return errors.Join(err, lock.Release())
	}
	publish := func(r Record) {
		r.Nonce, r.PID, r.Version = nonce, os.Getpid(), version
		if err := write(inst, r); err != nil {
			log.Error("write the service's record", "file", inst.RecordFile(), "err", err)
		}
	}
	defer func() {
		if err != nil {
			publish(Record{Phase: Failed, Error: err.Error()})
		} else {
			publish(Record{Phase: Stopped})
		}
		_ = os.Remove(inst.RunLock(nonce)) // the next run does it where a file in use can't be removed
		go keep(lock, own)
	}()
	publish(Record{Phase: Starting, Step: "taking over the instance"})
	err = serve(ctx, publish)
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))) {
		log.Info("asked to stop while it was starting", "err", err)
		return nil // a stop is no failure
	}
	return err
}

// keep holds locks until the process ends: one that nothing refers to would be closed before.
func keep(locks ...*proc.Lock) {
	<-make(chan struct{})
	runtime.KeepAlive(locks)
}

// takeRunLock takes the lock that says that the record with this nonce is a living run's, and removes
// those of runs that were killed. The caller holds the instance's lock, so there is no other run.
func takeRunLock(inst instance.Instance, nonce string) (*proc.Lock, error) {
	stale, err := filepath.Glob(inst.RunLock("*"))
	if err != nil {
		return nil, err
	}
	for _, path := range stale {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return proc.Acquire(inst.RunLock(nonce))
}

func write(inst instance.Instance, r Record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	return atomicfile.Write(inst.RecordFile(), b)
}

// Remove deletes every file of an instance whose service is stopped. The lock file goes last, so
// that no run can begin on half of an instance.
func Remove(inst instance.Instance) error {
	return WhileStopped(inst, func() error {
		dirs := []string{inst.ShortDir()}
		if !inst.KeepLogs() {
			dirs = append(dirs, inst.LogDir())
		}
		for _, dir := range append(dirs, inst.DataDir()) {
			if err := os.RemoveAll(dir); err != nil {
				return fmt.Errorf("%w: remove it by hand, or try again", err)
			}
		}
		return nil
	})
}

// WhileStopped calls fn with the instance's lock held, so that no service can run meanwhile.
func WhileStopped(inst instance.Instance, fn func() error) error {
	lock, err := proc.Acquire(inst.LockFile())
	if errors.Is(err, proc.ErrLocked) {
		return ErrNotStopped
	}
	if err != nil {
		return err
	}
	return errors.Join(fn(), lock.Release())
}
