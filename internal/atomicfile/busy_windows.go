package atomicfile

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/windows"
)

// retryTimeout is how long readers and writers of a file wait for each other. Windows can't replace a file that is being read,
// and can't open a file that is being replaced.
const retryTimeout = 2 * time.Second

// retryWhileBusy calls try until the file is not in use.
func retryWhileBusy(try func() error) error {
	for end := time.Now().Add(retryTimeout); ; time.Sleep(time.Millisecond) {
		err := try()
		busy := errors.Is(err, windows.ERROR_ACCESS_DENIED) || errors.Is(err, windows.ERROR_SHARING_VIOLATION)
		if !busy || time.Now().After(end) {
			return err
		}
	}
}

// open opens the file at path for writing and creates it if it is missing. It returns nil if it can't, because another process has
// it open for writing or for another reason. Then the next name is worth a try.
func open(path string) (f *os.File, next bool) {
	f, err := openAlone(path, windows.OPEN_ALWAYS)
	return f, err != nil
}

// create makes a file whose name begins with prefix. A file of os.CreateTemp can't be renamed while it is open.
func create(dir, prefix string) (*os.File, error) {
	return openAlone(filepath.Join(dir, prefix+rand.Text()), windows.CREATE_NEW)
}

// openAlone opens the file at path for writing, if no other process has it open for that. It can be renamed while it is open.
// Source: CreateFileW, dwShareMode.
func openAlone(path string, how uint32) (*os.File, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	h, err := windows.CreateFile(name, windows.GENERIC_WRITE, windows.FILE_SHARE_READ|windows.FILE_SHARE_DELETE, nil, how, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}
