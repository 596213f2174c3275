package hostagent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/docker/go-units"
	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/lima/image"
	"rancherdesktop.io/rdd/internal/lima/qemu"
	"rancherdesktop.io/rdd/internal/lima/ssh"
	"rancherdesktop.io/rdd/internal/lima/systemdisk"
	"rancherdesktop.io/rdd/internal/machine/event"
)

// trialTimeouts are how long the guest of a new system disk may take until it answers, with hardware acceleration (in seconds, on an
// idle computer) and under emulation on a busy one.
var trialTimeouts = map[bool]time.Duration{true: 5 * time.Minute, false: 15 * time.Minute}

// loginTimeout bounds the wait for the guest to run a command, once Lima says that it has booted.
const loginTimeout = time.Minute

// refusedError reports that the guest of a new system disk doesn't boot.
type refusedError struct {
	*unexpectedExit
	reason string
}

func (e *refusedError) Error() string {
	return "its new system disk does not boot: " + e.reason + ". The next start has the old one again"
}

func (e *refusedError) Unwrap() error { return e.unexpectedExit }

// ProblemID names the known problem.
func (e *refusedError) ProblemID() string { return string(diag.GuestRefused) }

// refusals say how a guest has ended that has not booted.
var refusals = map[string]string{event.Panicked: "its kernel panicked", event.PoweredOff: "its guest powered itself off", event.Rebooted: "its guest rebooted"}

// trySystemDisk records that a new system disk is started, and ends a guest that doesn't boot from it in time.
func (h *hostagent) trySystemDisk(ctx context.Context) (stop func(), err error) {
	if !systemdisk.Trying(h.vm) {
		return func() {}, nil
	}
	if err := systemdisk.Starting(h.vm); err != nil {
		return nil, err
	}
	limit := trialTimeouts[h.accelerated]
	h.trial = time.AfterFunc(limit, func() {
		h.giveUpSystemDisk(ctx, fmt.Sprintf("its guest did not answer within %s", units.HumanDuration(limit)))
	})
	return func() { h.trial.Stop() }, nil
}

// guestAnswers ends the wait for the guest of a new system disk.
func (h *hostagent) guestAnswers() {
	if h.trial != nil {
		h.trial.Stop()
	}
}

// refuseSystemDisk records why the guest of a new system disk doesn't boot, and keeps its console: the next boot overwrites it. It
// returns the reason with the console's path.
func (h *hostagent) refuseSystemDisk(reason string) (string, error) {
	console, err := os.ReadFile(h.vm.SerialLog())
	if err == nil {
		err = atomicfile.Write(h.vm.RefusedLog(), console)
	}
	if err == nil {
		reason += " (its console: " + h.vm.RefusedLog() + ")"
	} else {
		logrus.WithError(err).Warn("the console of the new system disk's guest can't be kept")
	}
	return reason, systemdisk.Failed(h.vm, reason)
}

// giveUpSystemDisk ends a guest whose new system disk doesn't work. The next start has the old one.
func (h *hostagent) giveUpSystemDisk(ctx context.Context, reason string) {
	reason, err := h.refuseSystemDisk(reason)
	if err != nil {
		logrus.WithError(err).Error("the new system disk can't be given up")
		return
	}
	h.givenUp.Store(&reason)
	logrus.Errorf("the new system disk is given up: %s", reason)
	if err := qemu.KillOrphan(ctx, h.vm); err != nil {
		logrus.WithError(err).Error("the guest of the new system disk can't be ended")
	}
}

// systemDiskFailed records that a guest has ended before its new system disk had booted, and returns its error.
func (h *hostagent) systemDiskFailed(ending *unexpectedExit) error {
	if reason := h.givenUp.Load(); reason != nil {
		return &refusedError{ending, *reason}
	}
	select {
	case <-h.ready:
		return ending
	default:
	}
	if ending.How == event.Killed || !systemdisk.Trying(h.vm) { // by somebody else: that says nothing about the disk
		return ending
	}
	reason, err := h.refuseSystemDisk(refusals[ending.How])
	if err != nil {
		return errors.Join(ending, err)
	}
	return &refusedError{ending, reason}
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
		return []string{fmt.Sprintf("the VM runs its old system disk, because a newer one did not boot: %s. All data is as it was. The next version of RDD tries again, and so does a reset, which keeps the data disk: rdd vm reset %s (the App: rdd reset)", refusal.Reason, h.vm.Name)}
	}
	return nil
}
