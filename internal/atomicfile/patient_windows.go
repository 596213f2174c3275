package atomicfile

import (
	"errors"
	"time"

	"golang.org/x/sys/windows"
)

// retryTimeout is how long readers and writers of one file may be in each other's way. Windows replaces
// no file that somebody reads, and opens none that is being replaced.
const retryTimeout = 2 * time.Second

func patiently(try func() error) error {
	for end := time.Now().Add(retryTimeout); ; time.Sleep(time.Millisecond) {
		err := try()
		busy := errors.Is(err, windows.ERROR_ACCESS_DENIED) || errors.Is(err, windows.ERROR_SHARING_VIOLATION)
		if !busy || time.Now().After(end) {
			return err
		}
	}
}
