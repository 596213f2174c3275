package atomicfile

import (
	"errors"
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
