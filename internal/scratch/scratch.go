// Package scratch makes temporary folders that don't outlive their process for long: the folder of a process that was killed is
// removed when the next folder with the same prefix is made.
package scratch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"rancherdesktop.io/rdd/internal/proc"
)

// lockName is the file in each folder that its process keeps locked.
const lockName = ".lock"

// Dir is a temporary folder of this process, for its user alone.
type Dir struct {
	Path string
	lock *proc.Lock
}

// New makes a folder whose name begins with prefix, and removes those of processes that have ended.
func New(prefix string) (*Dir, error) {
	sweep(prefix)
	for {
		path, err := os.MkdirTemp("", prefix) // mode 0700
		if err != nil {
			return nil, err
		}
		lock, err := proc.Acquire(filepath.Join(path, lockName))
		if err == nil {
			return &Dir{path, lock}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, proc.ErrLocked) {
			return nil, errors.Join(err, os.RemoveAll(path))
		}
		// Another process has taken it for one that was left: it was not locked yet.
	}
}

// Close removes the folder.
func (d *Dir) Close() error { return remove(d.Path, d.lock) }

// maxTries bounds how often a folder is emptied.
const maxTries = 10

// remove removes a folder that this process has locked. The lock file is the last file in it to go, so that the next process
// finds what this one leaves if it is killed. A child that still runs may make a file at any time, so the folder is locked again
// if it is not empty then. If that goes on, the lock file stays for the next process.
func remove(path string, lock *proc.Lock) error {
	for range maxTries {
		if err := removeContent(path); err != nil {
			return errors.Join(err, lock.Release())
		}
		if err := lock.Remove(); err != nil {
			return err
		}
		if os.Remove(path) == nil {
			return nil
		}
		again, err := proc.Acquire(filepath.Join(path, lockName))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, proc.ErrLocked) {
			return nil // another process has removed it, or does so now
		}
		if err != nil {
			return err
		}
		lock = again
	}
	return errors.Join(fmt.Errorf("remove %s: a process still makes files in it", path), lock.Release())
}

// removeContent removes all files of a folder but its lock file.
func removeContent(path string) error {
	entries, err := os.ReadDir(path)
	for _, e := range entries {
		if e.Name() != lockName && err == nil {
			err = os.RemoveAll(filepath.Join(path, e.Name()))
		}
	}
	return err
}

// sweep removes the folders whose process has ended. If it fails, the next process tries again.
func sweep(prefix string) {
	found, _ := fs.Glob(os.DirFS(os.TempDir()), prefix+"*") // filepath.Glob would take a [ in TMPDIR for a pattern
	for _, name := range found {
		path := filepath.Join(os.TempDir(), name)
		if _, err := strconv.ParseUint(strings.TrimPrefix(name, prefix), 10, 64); err != nil || !own(path) {
			continue // it is not from this package
		}
		lockFile := filepath.Join(path, lockName)
		info, err := os.Lstat(lockFile)
		if errors.Is(err, fs.ErrNotExist) {
			_ = os.Remove(path) // only if it is empty, as one is before it is locked
		}
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if held, err := proc.Held(lockFile); err != nil || held {
			continue // without the wait of Acquire
		}
		if lock, err := proc.Acquire(lockFile); err == nil {
			_ = remove(path, lock)
		}
	}
}
