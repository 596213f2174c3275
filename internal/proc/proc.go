// Package proc holds what differs between operating systems about processes: kernel locks that
// say whether one lives, starting one that outlives its parent, and signals.
package proc

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// ErrLocked means that another process holds the lock.
var ErrLocked = errors.New("locked by another process")

// Lock is a kernel lock on a file. The kernel releases it when the process ends, however it ends.
type Lock struct{ f *os.File }

// Acquire takes the lock on path, making the file (0600) when it is missing. It does not wait:
// it returns ErrLocked while another process holds the lock.
func Acquire(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	// Held looks with a shared lock for an instant; a few tries tell a look from an owner.
	for range 20 {
		ok, err := lockFile(f, true)
		if ok && !isAt(f, path) { // removed meanwhile: another process may hold "the" lock
			f.Close()
			return Acquire(path)
		}
		if ok {
			return &Lock{f}, nil
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	f.Close()
	return nil, fmt.Errorf("%s: %w", path, ErrLocked)
}

// isAt says whether f is still the file at path.
func isAt(f *os.File, path string) bool {
	have, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(have, there)
}

// File is the locked file. A child that inherits it holds the lock as well (not on Windows).
func (l *Lock) File() *os.File { return l.f }

// Release gives the lock up. The file stays: removing it would let two processes hold "the" lock.
func (l *Lock) Release() error { return l.f.Close() }

// Held says whether a process holds the lock on path. It changes nothing.
func Held(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	free, err := lockFile(f, false)
	if err != nil {
		return false, fmt.Errorf("lock %s: %w", path, err)
	}
	return !free, nil
}

// ErrGone means that the process to signal no longer lives.
var ErrGone = errors.New("the process is gone")

// Interrupt asks the process pid to stop in order. ours is asked once the system can no longer
// give that number to another process (on Linux); false means ErrGone and no signal.
func Interrupt(pid int, ours func() bool) error { return send(pid, ours, interrupt) }

// Kill ends the process pid at once, under the same condition as Interrupt.
func Kill(pid int, ours func() bool) error { return send(pid, ours, (*os.Process).Kill) }

func send(pid int, ours func() bool, signal func(*os.Process) error) error {
	if pid <= 1 { // kill(2) takes 0 and below for groups of processes; 1 is never ours
		return ErrGone
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	defer func() { _ = p.Release() }()
	if !ours() {
		return ErrGone
	}
	err = signal(p)
	if errors.Is(err, os.ErrProcessDone) {
		return ErrGone
	}
	return err
}
