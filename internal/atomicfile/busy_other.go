//go:build !windows

package atomicfile

import (
	"errors"
	"os"
	"syscall"
)

// open opens the file at path for writing, creates it if it is missing, and locks it. It returns nil if it can't, and then whether
// the next name is worth a try.
func open(path string) (f *os.File, next bool) {
	for range maxTries {
		// With O_NONBLOCK it doesn't wait for a reader of a FIFO.
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
		if err != nil {
			return nil, true
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		there := err == nil && isAt(f, path)
		if there && own(f) {
			return f, false
		}
		f.Close()
		if err != nil || there {
			return nil, errors.Is(err, syscall.EWOULDBLOCK)
		}
		// Its writer has renamed or removed it meanwhile.
	}
	return nil, false
}

// own reports whether only this user can have the file open or under another name. In a shared folder another user may have
// made it.
func own(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode() != 0o600 { // a regular file
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid() && stat.Nlink == 1
}

// create makes a file whose name begins with prefix.
func create(dir, prefix string) (*os.File, error) { return os.CreateTemp(dir, prefix+"*") }

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
