// Package scratch makes temporary folders that don't outlive their process for long: the folder of a process that was killed is
// removed when the next folder with the same prefix is made.
package scratch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

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
	path, err := os.MkdirTemp("", prefix) // mode 0700
	if err != nil {
		return nil, err
	}
	lock, err := proc.Acquire(filepath.Join(path, lockName))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	return &Dir{path, lock}, nil
}

// Close removes the folder.
func (d *Dir) Close() error { return errors.Join(d.lock.Release(), os.RemoveAll(d.Path)) }

// sweep removes the folders whose process has ended. A folder without a lock file is being made, or is not from this package.
func sweep(prefix string) {
	found, _ := fs.Glob(os.DirFS(os.TempDir()), prefix+"*") // filepath.Glob would take a [ in TMPDIR for a pattern
	for _, name := range found {
		path := filepath.Join(os.TempDir(), name)
		if !own(path) {
			continue
		}
		lock := filepath.Join(path, lockName)
		if info, err := os.Lstat(lock); err != nil || !info.Mode().IsRegular() {
			continue
		}
		if held, err := proc.Held(lock); err == nil && !held {
			_ = os.RemoveAll(path) // if it fails, the next process tries again
		}
	}
}
