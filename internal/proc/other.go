//go:build !linux

package proc

import "errors"

// Holds reports whether the lock on path is held. This system doesn't tell by which process.
func Holds(_ int, path string) bool {
	held, err := Held(path)
	return held && err == nil
}

// Holder returns errors.ErrUnsupported: this system doesn't tell which process holds a lock.
func Holder(string) (pid int, err error) { return 0, errors.ErrUnsupported }

// interrupted returns false: on this system only the parent's wait tells how a child has ended.
func interrupted(int) bool { return false }
