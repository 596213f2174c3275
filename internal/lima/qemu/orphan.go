package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/store/filenames"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// orphanTimeouts say how long each way to end a QEMU without a hostagent may take.
type orphanTimeouts struct {
	selfExit time.Duration // to end by itself: it was told to when its hostagent died
	powerOff time.Duration // for the guest to power off
	quit     time.Duration // for QEMU to quit
}

func defaultOrphanTimeouts() orphanTimeouts {
	return orphanTimeouts{selfExit: 3 * time.Second, powerOff: time.Minute, quit: 5 * time.Second}
}

// EndOrphan ends a QEMU of the VM that outlived its hostagent: it asks first, and forces it then. It removes the
// sockets and PID files that both left, and reports whether there was a QEMU. The caller holds the VM's disk lock, so
// no hostagent runs.
func EndOrphan(ctx context.Context, vm layout.VM, say func(string)) (found bool, err error) {
	return defaultOrphanTimeouts().end(ctx, vm, say)
}

func (g orphanTimeouts) end(ctx context.Context, vm layout.VM, say func(string)) (found bool, err error) {
	for _, try := range []struct {
		message string
		act     func() error
		grace   time.Duration
	}{
		{"", func() error { return nil }, g.selfExit},
		{"a QEMU without a hostagent was found; asking its guest to power off", func() error { return PowerDown(vm) }, g.powerOff},
		{"the guest doesn't power off; ending its QEMU", func() error { return qmpExecute(limaSocket(vm), "quit") }, g.quit},
		{"QEMU doesn't answer; killing it", func() error { return killQEMU(vm) }, g.quit},
	} {
		held, err := proc.Held(vm.QEMULock())
		if err != nil {
			return found, err
		}
		if !held {
			return found, clearStale(vm)
		}
		if try.message != "" {
			say(try.message)
		}
		found = true
		if try.act() != nil {
			continue // the next one is rougher
		}
		if err := awaitFree(ctx, vm.QEMULock(), try.grace); err != nil {
			return found, err
		}
	}
	if held, err := proc.Held(vm.QEMULock()); held || err != nil {
		return found, errors.Join(err, diag.Errorf(diag.VMBusy, "a QEMU of VM %q can't be ended: find it with `fuser %s` and end it", vm.Name, vm.QEMULock()))
	}
	return found, clearStale(vm)
}

// KillOrphan kills the VM's QEMU. The caller holds the disk lock.
func KillOrphan(ctx context.Context, vm layout.VM) error {
	held, err := proc.Held(vm.QEMULock())
	if err != nil || !held {
		return err
	}
	err = killQEMU(vm)
	if ending := errors.Is(err, os.ErrNotExist) || errors.Is(err, proc.ErrGone); err != nil && !ending { // its hostagent's death has told it to end
		return fmt.Errorf("kill the QEMU of VM %q: %w", vm.Name, err)
	}
	if err := awaitFree(ctx, vm.QEMULock(), defaultOrphanTimeouts().quit); err != nil {
		return err
	}
	if held, err := proc.Held(vm.QEMULock()); held || err != nil {
		return errors.Join(err, fmt.Errorf("the QEMU of VM %q does not end", vm.Name))
	}
	return clearStale(vm)
}

// killQEMU kills the process that holds the QEMU lock.
func killQEMU(vm layout.VM) error {
	pid, err := qemuPID(vm)
	if err != nil {
		return err
	}
	return proc.Kill(pid, func() bool { return proc.Holds(pid, vm.QEMULock()) })
}

// qemuPID finds the process that holds the QEMU lock. QEMU's PID file is asked only where the system
// doesn't tell: it may be missing, or an earlier QEMU's.
func qemuPID(vm layout.VM) (int, error) {
	pid, err := proc.Holder(vm.QEMULock())
	if !errors.Is(err, errors.ErrUnsupported) {
		return pid, err
	}
	b, err := os.ReadFile(filepath.Join(vm.Dir(), filenames.PIDFile(limayaml.QEMU)))
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
