//go:build unix

package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// take opens the file at path and locks it; nil when another process has locked it.
func take(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		free, err := flock(f, syscall.LOCK_EX)
		switch {
		case err != nil:
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		case !free:
			f.Close()
			return nil, nil
		case isAt(f, path):
			return f, nil
		}
		f.Close() // the file was removed meanwhile, and another process may have locked a new one
	}
}

func held(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	free, err := flock(f, syscall.LOCK_SH)
	if err != nil {
		return false, fmt.Errorf("lock %s: %w", path, err)
	}
	if free {
		_, err = flock(f, syscall.LOCK_UN)
	}
	return !free, err
}

// release unlocks the file before it is closed. A child that this process is just starting has it open until its exec, which
// takes long on a busy machine.
func release(f *os.File) error {
	_, err := flock(f, syscall.LOCK_UN)
	return errors.Join(err, f.Close())
}

// flock locks an open file. All processes that inherit the file hold the lock. Source: flock(2).
func flock(f *os.File, how int) (ok bool, err error) {
	err = syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// firstInheritedFD is the number of the first of a command's extra files. Source: os/exec.
const firstInheritedFD = 3

func pass(cmd *exec.Cmd, f *os.File) (id string, err error) {
	cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	return strconv.Itoa(firstInheritedFD + len(cmd.ExtraFiles) - 1), nil
}

func inherited(id, path string) (*os.File, error) {
	fd, err := strconv.Atoi(id)
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), path), nil
}

// remove removes the file while it is still locked, so that no other process has locked it.
func remove(f *os.File) error { return errors.Join(os.Remove(f.Name()), f.Close()) }
