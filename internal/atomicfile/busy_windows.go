package atomicfile

import (
	"errors"
	"os"
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

// open opens the file at path for writing and creates it if it is missing. It returns nil when another process has it open for
// writing. The file can be renamed while it is open.
// Source: CreateFileW, dwShareMode.
func open(path string) (*os.File, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	h, err := windows.CreateFile(name, windows.GENERIC_WRITE, windows.FILE_SHARE_READ|windows.FILE_SHARE_DELETE, nil, windows.OPEN_ALWAYS, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, windows.ERROR_SHARING_VIOLATION) {
		return nil, nil
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}
