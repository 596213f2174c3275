package proc

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/windows"
)

// A lock is the file opened for nobody else. Unlike a lock on bytes of it, a child can inherit that.
// Source: CreateFileW, dwShareMode.

// take opens the file at path for this process alone; nil when another process has it open.
func take(path string) (*os.File, error) {
	return open(path, windows.GENERIC_READ|windows.GENERIC_WRITE, 0, windows.OPEN_ALWAYS)
}

// held says whether somebody has the file open for nobody else.
func held(path string) (bool, error) {
	f, err := open(path, windows.GENERIC_READ, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, windows.OPEN_EXISTING)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case f == nil:
		return true, nil
	}
	return false, f.Close()
}

// open returns nil when somebody has opened the file for nobody else.
func open(path string, access, share, how uint32) (*os.File, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	h, err := windows.CreateFile(name, access, share, nil, how, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, windows.ERROR_SHARING_VIOLATION) {
		return nil, nil
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

// pass: a handle has the same number in the child. What other children inherit is listed for each.
func pass(cmd *exec.Cmd, f *os.File) (id string, err error) {
	h := f.Fd()
	if err := windows.SetHandleInformation(windows.Handle(h), windows.HANDLE_FLAG_INHERIT, windows.HANDLE_FLAG_INHERIT); err != nil {
		return "", os.NewSyscallError("SetHandleInformation", err)
	}
	a := attributes(cmd)
	a.AdditionalInheritedHandles = append(a.AdditionalInheritedHandles, syscall.Handle(h))
	return strconv.FormatUint(uint64(h), 10), nil
}

func inherited(id, path string) (*os.File, error) {
	h, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return nil, err
	}
	if err := windows.SetHandleInformation(windows.Handle(h), windows.HANDLE_FLAG_INHERIT, 0); err != nil {
		return nil, os.NewSyscallError("SetHandleInformation", err)
	}
	return os.NewFile(uintptr(h), path), nil
}

// remove can't remove a file that is open. Whoever opens it first keeps it.
func remove(f *os.File) error {
	if err := f.Close(); err != nil {
		return err
	}
	err := os.Remove(f.Name())
	if errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
