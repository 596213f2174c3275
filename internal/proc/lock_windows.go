package proc

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/windows"
)

// A lock is a file that is opened without sharing. A child can inherit that, unlike a lock on bytes of the file.
// Source: CreateFileW, dwShareMode.

// take opens the file at path for this process alone; nil when another process has it open.
func take(path string) (*os.File, error) {
	return open(path, windows.GENERIC_READ|windows.GENERIC_WRITE, 0, windows.OPEN_ALWAYS)
}

// held reports whether a process has opened the file without sharing.
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

// open returns nil when another process has opened the file without sharing.
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

func release(f *os.File) error { return f.Close() }

// pass makes the child inherit the handle, which has the same number there. Other children don't inherit it, because Go lists
// the handles for each child.
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

// remove closes the file first, because Windows can't remove an open file. If another process opens it in between, the file
// stays.
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
