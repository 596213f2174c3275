package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// ErrLocked means that another process holds the lock.
var ErrLocked = errors.New("locked by another process")

// Lock is a kernel lock on a file. The kernel releases it when the process ends, however it ends.
type Lock struct {
	f      *os.File
	shared bool // another process may hold it as well
}

// Acquire takes the lock on path, making the file (0600) when it is missing. It does not wait:
// it returns ErrLocked while another process holds the lock.
func Acquire(path string) (*Lock, error) {
	// Held takes a shared lock for an instant. After a few tries it is certain that another process holds the lock.
	for range 20 {
		f, err := take(path)
		if err != nil {
			return nil, err
		}
		if f != nil {
			return &Lock{f: f}, nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil, fmt.Errorf("%s: %w", path, ErrLocked)
}

// isAt reports whether f is still the file at path.
func isAt(f *os.File, path string) bool {
	have, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(have, there)
}

// File returns the locked file. A child that inherits it holds the lock as well, so Release no longer unlocks the file but
// only closes it.
func (l *Lock) File() *os.File {
	l.shared = true
	return l.f
}

// Pass makes cmd hold the lock as well, from its start to its end. It returns the id for Inherited in that process. Call it
// after cmd.ExtraFiles is set.
func (l *Lock) Pass(cmd *exec.Cmd) (id string, err error) { return pass(cmd, l.File()) }

// Inherited returns the lock on path that the parent of this process has passed to it. A child gets it only if it is passed
// on.
func Inherited(id, path string) (*Lock, error) {
	f, err := inherited(id, path)
	if err != nil {
		return nil, fmt.Errorf("take over the lock on %s: %w", path, err)
	}
	if !isAt(f, path) {
		return nil, fmt.Errorf("take over the lock on %s: %s is another file", path, id)
	}
	return &Lock{f: f, shared: true}, nil
}

// Release releases the lock. A process to which it was passed still holds it. Release doesn't remove the file, which another
// process may have locked by then.
func (l *Lock) Release() error {
	if l.shared {
		return l.f.Close()
	}
	return release(l.f)
}

// Remove releases the lock and removes its file. A process that waits for the lock creates another file.
func (l *Lock) Remove() error { return remove(l.f) }

// Held reports whether a process holds the lock on path. It changes nothing.
func Held(path string) (bool, error) { return held(path) }
