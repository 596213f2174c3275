//go:build !linux

package proc

import "errors"

// Holds says whether the lock on path is held: this system doesn't tell by which process.
func Holds(_ int, path string) bool {
	held, err := Held(path)
	return held && err == nil
}

// Holder returns errors.ErrUnsupported: this system doesn't tell which process has a lock.
func Holder(string) (pid int, err error) { return 0, errors.ErrUnsupported }
