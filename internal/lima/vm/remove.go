package vm

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/lima-vm/lima/pkg/store"
	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/lima/hostpath"
	"rancherdesktop.io/rdd/internal/lima/image"
	"rancherdesktop.io/rdd/internal/lima/qemu"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// Clear ends the QEMU that a dead hostagent of the VM has left. With kill it doesn't ask the guest first.
func Clear(ctx context.Context, vm layout.VM, kill bool, say func(string)) error {
	lock, err := lockIdle(ctx, vm)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()
	if kill {
		if err := qemu.KillOrphan(ctx, vm); err != nil {
			return err
		}
	}
	_, err = qemu.EndOrphan(ctx, vm, say)
	return err
}

// RemoveOptions say what a removal leaves for the VM that is made next.
type RemoveOptions struct {
	KeepData   bool // the data disk
	KeepImages bool // the images that only this VM uses
}

// Remove removes the VM's disks and configuration. It refuses while the VM runs, and succeeds for a VM that doesn't
// exist.
func Remove(ctx context.Context, vm layout.VM, o RemoveOptions) error {
	if err := store.ValidateInstName(vm.Name); err != nil {
		return lima.Permanent(err)
	}
	lock, err := lockIdle(ctx, vm)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()
	if held, err := proc.Held(vm.QEMULock()); held || err != nil {
		return errors.Join(err, fmt.Errorf("VM %q still has a QEMU: stop it first", vm.Name))
	}
	if err := vm.FreeDisks(); err != nil {
		return err
	}
	if !layout.Exists(vm.Dir()) {
		removeImages(vm, o)
		return errors.Join(hostpath.Release(vm), removeData(vm, o))
	}
	if err := removable(vm); err != nil {
		return err
	}
	if err := hostpath.Release(vm); err != nil {
		return err
	}
	return removeDir(vm, o)
}

// removeData removes the data disk, and what a killed preparation has left of one.
func removeData(vm layout.VM, o RemoveOptions) error {
	if o.KeepData {
		return nil
	}
	return errors.Join(os.RemoveAll(vm.DataDisk()+newSuffix), os.RemoveAll(vm.DataDisk()))
}

// removeImages removes the images that no VM uses. If that fails, the next removal tries again.
func removeImages(vm layout.VM, o RemoveOptions) {
	if o.KeepImages {
		return
	}
	if err := image.Sweep(vm.Home); err != nil {
		logrus.WithError(err).Warn("the images that no VM uses are not all removed")
	}
}

// lockIdle takes the disk lock of a VM that must not run.
func lockIdle(ctx context.Context, vm layout.VM) (*proc.Lock, error) {
	if err := os.MkdirAll(vm.Run(), 0o700); err != nil {
		return nil, err
	}
	lock, err := vm.LockDisk(ctx)
	if errors.Is(err, proc.ErrLocked) {
		return nil, fmt.Errorf("VM %q is in use: stop it first: %w", vm.Name, err)
	}
	return lock, err
}
