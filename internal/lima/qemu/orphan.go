package qemu

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// orphanTimeouts say how long each way to end a QEMU without a hostagent may take.
type orphanTimeouts struct {
	selfExit time.Duration // to end by itself: the kernel told it to when its hostagent died
	powerOff time.Duration // for the guest to power off
	quit     time.Duration // for QEMU to quit, or to end when it is killed
}

const quitTimeout = 5 * time.Second

// EndOrphan ends a QEMU of the VM that outlived its hostagent: it asks first, and forces it then. It removes the
// sockets and PID files that both left, and reports whether there was a QEMU. The caller holds the VM's disk lock, so
// no hostagent runs.
func EndOrphan(ctx context.Context, vm layout.VM, say func(string)) (found bool, err error) {
	return orphanTimeouts{selfExit: 3 * time.Second, powerOff: time.Minute, quit: quitTimeout}.end(ctx, vm, say)
}

func (g orphanTimeouts) end(ctx context.Context, vm layout.VM, say func(string)) (found bool, err error) {
	return endQEMU(ctx, vm, say,
		attempt{"", func() error { return nil }, g.selfExit},
		attempt{"a QEMU without a hostagent was found; asking its guest to power off", func() error { return PowerDown(vm) }, g.powerOff},
		attempt{"the guest doesn't power off; ending its QEMU", func() error { return qmpExecute(limaSocket(vm), "quit") }, g.quit},
		attempt{"QEMU doesn't answer; killing it", func() error { return killQEMU(vm) }, g.quit},
	)
}

// PowerOff asks the guest to power off, and ends its QEMU if it doesn't. The caller holds the disk lock.
func PowerOff(ctx context.Context, vm layout.VM) error {
	say := func(string) {}
	_, err := endQEMU(ctx, vm, say,
		attempt{"", func() error { return PowerDown(vm) }, time.Minute},
		attempt{"", func() error { return killQEMU(vm) }, quitTimeout})
	return err
}

// KillOrphan kills the VM's QEMU. The caller holds the disk lock.
func KillOrphan(ctx context.Context, vm layout.VM) error {
	_, err := endQEMU(ctx, vm, nil, attempt{"", func() error { return killQEMU(vm) }, quitTimeout})
	return err
}

// attempt is one way to end a QEMU.
type attempt struct {
	message string // is reported before; empty: nothing is
	act     func() error
	grace   time.Duration // for QEMU to end then
}

// endQEMU makes one attempt after the other until the VM's QEMU has ended, and reports whether there was one.
func endQEMU(ctx context.Context, vm layout.VM, say func(string), attempts ...attempt) (found bool, err error) {
	var failed error // the last attempt
	for _, a := range attempts {
		held, err := proc.Held(vm.QEMULock())
		if err != nil {
			return found, err
		}
		if !held {
			return found, clearStale(vm)
		}
		if a.message != "" {
			say(a.message)
		}
		found = true
		if failed = a.act(); failed != nil && !errors.Is(failed, proc.ErrGone) { // one that is gone frees its lock soon
			continue
		}
		if err := awaitFree(ctx, vm.QEMULock(), a.grace); err != nil {
			return found, err
		}
	}
	if held, err := proc.Held(vm.QEMULock()); held || err != nil {
		return found, errors.Join(err, diag.Errorf(diag.VMBusy, "a QEMU of VM %q can't be ended: find it with `fuser %s` and end it", vm.Name, vm.QEMULock()), failed)
	}
	return found, clearStale(vm)
}

// killQEMU kills the process that holds the QEMU lock.
func killQEMU(vm layout.VM) error {
	pid, err := qemuPID(vm)
	if err != nil {
		return err
	}
	return proc.Kill(pid, func() bool { return proc.Holds(pid, vm.QEMULock()) })
}

// qemuPID finds the process that holds the QEMU lock. It reads QEMU's PID file only where the system doesn't tell who
// holds a lock: the file may be missing, or be an earlier QEMU's.
func qemuPID(vm layout.VM) (int, error) {
	pid, err := proc.Holder(vm.QEMULock())
	if !errors.Is(err, errors.ErrUnsupported) {
		return pid, err
	}
	b, err := os.ReadFile(vm.QEMUPID())
	if errors.Is(err, os.ErrNotExist) {
		return 0, proc.ErrGone
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// awaitFree waits until nobody holds the lock, at most for grace. Only the end of ctx is an error.
func awaitFree(ctx context.Context, path string, grace time.Duration) error {
	late := time.After(grace)
	for {
		if held, err := proc.Held(path); !held || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-late:
			return nil
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// clearStale removes sockets and PID files. Nobody uses them: no QEMU and no hostagent lives.
func clearStale(vm layout.VM) error {
	entries, err := os.ReadDir(vm.Dir())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		socket := filepath.Ext(e.Name()) == ".sock" && e.Type() == os.ModeSocket
		pid := filepath.Ext(e.Name()) == ".pid" && e.Type().IsRegular()
		if socket || pid {
			if err := os.Remove(filepath.Join(vm.Dir(), e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
