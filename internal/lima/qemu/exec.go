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
	held, err := acquire(lock, parent)
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

// acquire takes the QEMU lock. It refuses when the hostagent, whose process ID is parent, has ended: a service may have found the
// lock free since then, and doesn't expect a QEMU any more.
func acquire(lock string, parent int) (*proc.Lock, error) {
	held, err := proc.Acquire(lock)
	switch {
	case errors.Is(err, proc.ErrLocked):
		return nil, diag.Mark(diag.VMBusy, fmt.Errorf("another QEMU of this VM still runs: %w", err))
	case err != nil:
		return nil, err
	case os.Getppid() != parent:
		return nil, errors.Join(errHostagentGone, held.Release())
	}
	return held, nil
}

// errHostagentGone means that the hostagent that has started this QEMU has ended.
var errHostagentGone = errors.New("the hostagent is gone")
