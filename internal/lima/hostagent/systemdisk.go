package hostagent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/lima/image"
	"rancherdesktop.io/rdd/internal/lima/qemu"
	"rancherdesktop.io/rdd/internal/lima/ssh"
	"rancherdesktop.io/rdd/internal/lima/systemdisk"
	"rancherdesktop.io/rdd/internal/machine/event"
)

// trialTimeout is how long a new system disk may take to boot, also under emulation on a busy host.
const trialTimeout = 15 * time.Minute

// loginTimeout bounds the wait for the guest to run a command, once Lima says that it has booted.
const loginTimeout = time.Minute

// trySystemDisk records that a new system disk is started, and ends a guest that doesn't boot from it in time.
func (h *hostagent) trySystemDisk(ctx context.Context) (stop func(), err error) {
	if !systemdisk.Trying(h.vm) {
		return func() {}, nil
	}
	if err := systemdisk.Starting(h.vm); err != nil {
		return nil, err
	}
	late := time.AfterFunc(trialTimeout, func() { h.giveUpSystemDisk(ctx, fmt.Sprintf("its guest has not answered within %s", trialTimeout)) })
	go func() {
		select {
		case <-h.ready:
			late.Stop()
		case <-ctx.Done():
		}
	}()
	return func() { late.Stop() }, nil
}

// giveUpSystemDisk ends a guest whose new system disk doesn't work. The next start has the old one.
func (h *hostagent) giveUpSystemDisk(ctx context.Context, reason string) {
	if err := systemdisk.Failed(h.vm, reason); err != nil {
		logrus.WithError(err).Error("the new system disk can't be given up")
		return
	}
	logrus.Errorf("the new system disk is given up: %s", reason)
	if err := qemu.KillOrphan(ctx, h.vm); err != nil {
		logrus.WithError(err).Error("the guest of the new system disk can't be ended")
	}
}

// systemDiskFailed records that a guest has ended before its new system disk had booted, and returns its error.
func (h *hostagent) systemDiskFailed(ending *unexpectedExit) error {
	select {
	case <-h.ready:
		return ending
	default:
	}
	if ending.How == event.Killed || !systemdisk.Trying(h.vm) { // by somebody else: that says nothing about the disk
		return ending
	}
	if err := systemdisk.Failed(h.vm, ending.Error()); err != nil {
		return errors.Join(ending, err)
	}
	return ending
}

// judgeSystemDisk removes the old system disk when the new one has booted. It returns why the VM has its old one.
func (h *hostagent) judgeSystemDisk() []string {
	if systemdisk.Trying(h.vm) {
		ctx, cancel := context.WithTimeout(context.Background(), loginTimeout)
		defer cancel()
		if err := ssh.Command(ctx, h.vm, "true").Run(); err != nil { // Lima gives up waiting, and says nevertheless that it runs
			go h.giveUpSystemDisk(context.Background(), "nobody can log in to its guest")
			return nil
		}
		if err := systemdisk.Booted(h.vm); err != nil {
			logrus.WithError(err).Error("the old system disk can't be removed")
		} else if err := image.Sweep(h.vm.Home); err != nil {
			logrus.WithError(err).Warn("the images that no VM uses are not all removed")
		}
	}
	if refusal, ok := systemdisk.Refused(h.vm); ok {
		return []string{fmt.Sprintf("the VM runs its old system disk, because a newer one did not boot: %s. Its data is as it was. A newer RDD tries again, and so does a reset, which keeps the data disk: rdd vm reset %s (the App: rdd reset)", refusal.Reason, h.vm.Name)}
	}
	return nil
}
