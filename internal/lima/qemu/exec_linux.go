package qemu

import (
	"os"

	"golang.org/x/sys/unix"
)

// endWithParent makes the kernel send this process, and what it becomes, a SIGTERM when its parent
// dies. QEMU then writes out its disk caches and ends.
func endWithParent(parent int) error {
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM), 0, 0, 0); err != nil {
		return err
	}
	if os.Getppid() != parent {
		return errHostagentGone
	}
	return nil
}
