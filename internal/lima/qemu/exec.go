//go:build !windows

package qemu

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/proc"
)

// Exec replaces this process with the real QEMU. QEMU then holds the VM's QEMU lock, so that others can see whether it
// runs. On Linux it ends when the hostagent does, even if the hostagent is killed.
func Exec(qemu, lock string, parent int, args []string) error {
	// PR_SET_PDEATHSIG belongs to a thread, so the thread that calls exec must be the one that has set it.
	runtime.LockOSThread()
	if err := endWithParent(parent); err != nil {
		return err
	}
	held, err := proc.Acquire(lock)
	if errors.Is(err, proc.ErrLocked) {
		return diag.Mark(diag.VMBusy, fmt.Errorf("another QEMU of this VM still runs: %w", err))
	}
	if err != nil {
		return err
	}
	if _, err := unix.FcntlInt(held.File().Fd(), unix.F_SETFD, 0); err != nil { // survives exec
		return err
	}
	cmd := exec.Command(qemu, args...)
	cmd.Env = os.Environ()
	return proc.Become(cmd)
}
