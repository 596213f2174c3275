//go:build !windows

package atomicfile

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// open opens the file at path for writing, creates it if it is missing, and locks it. It returns nil when another process has
// locked it.
func open(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil && isAt(f, path) {
			return f, nil
		}
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		// Its writer has renamed or removed it meanwhile.
	}
}

// isAt reports whether f is still the file at path.
func isAt(f *os.File, path string) bool {
	have, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(have, there)
}

// retryWhileBusy calls try once. On these systems a file can be replaced while it is read.
func retryWhileBusy(try func() error) error { return try() }
