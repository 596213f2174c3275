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
type Lock struct{ f *os.File }

// Acquire takes the lock on path, making the file (0600) when it is missing. It does not wait:
// it returns ErrLocked while another process holds the lock.
func Acquire(path string) (*Lock, error) {
	// Held looks with a shared lock for an instant; a few tries tell a look from an owner.
	for range 20 {
		f, err := take(path)
		if err != nil {
			return nil, err
		}
		if f != nil {
			return &Lock{f}, nil
		}
		time.Sleep(5 * time.Millisecond)
	}
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

// File is the locked file. A child that inherits it holds the lock as well.
func (l *Lock) File() *os.File { return l.f }

// Pass has cmd hold the lock as well, from its very start to its end. It returns what Inherited of
// that process wants to know. Call it after whatever else sets cmd's files.
func (l *Lock) Pass(cmd *exec.Cmd) (id string, err error) { return pass(cmd, l.f) }

// Inherited is the lock on path that whoever started this process has passed to it. No child gets it
// in turn, unless it is passed on.
func Inherited(id, path string) (*Lock, error) {
	f, err := inherited(id, path)
	if err != nil {
		return nil, fmt.Errorf("take over the lock on %s: %w", path, err)
	}
	if !isAt(f, path) {
		return nil, fmt.Errorf("take over the lock on %s: %s is another file", path, id)
	}
	return &Lock{f}, nil
}

// Release gives the lock up, unless it was passed on to a process that lives. The file stays: removing
// it afterwards could take it from under its next owner.
func (l *Lock) Release() error { return l.f.Close() }

// Remove gives the lock up for good, and removes its file. Who waits for it makes another file.
func (l *Lock) Remove() error { return remove(l.f) }

// Held says whether a process holds the lock on path. It changes nothing.
func Held(path string) (bool, error) { return held(path) }
