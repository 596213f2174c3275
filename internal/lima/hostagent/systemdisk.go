package hostagent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/lima"
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

// refusal is why a new system disk is given up.
type refusal struct {
	reason string
	engine bool // it boots, and its container engine doesn't start
}

// refusedError reports that a new system disk is given up.
type refusedError struct {
	*unexpectedExit
	refusal
}

func (e *refusedError) Error() string {
	what := "does not boot"
	if e.engine {
		what = "does not start the container engine"
	}
	return "its new system disk " + what + ": " + e.reason + ". The next start has the old one again"
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
		h.giveUpSystemDisk(ctx, refusal{reason: fmt.Sprintf("its guest did not answer within %s", units.HumanDuration(limit))})
	})
	return func() { h.trial.Stop() }, nil
}

// guestAnswers ends the wait for the guest of a new system disk.
func (h *hostagent) guestAnswers() {
	if h.trial != nil {
		h.trial.Stop()
	}
}

// refuseSystemDisk records why a new system disk is given up, and keeps the guest's console, which the next boot overwrites, or the
// log of its engine. It returns the refusal with that file's path in its reason.
func (h *hostagent) refuseSystemDisk(ctx context.Context, r refusal) (refusal, error) {
	what, log, err := "its console", []byte(nil), error(nil)
	if r.engine {
		what = "its log"
		ctx, cancel := context.WithTimeout(ctx, engineTimeout)
		defer cancel()
		log, err = ssh.Command(ctx, h.vm, engine.ServicesLog(h.engineName())).Output()
	} else {
		log, err = os.ReadFile(h.vm.SerialLog())
	}
	if err == nil {
		err = atomicfile.Write(h.vm.RefusedLog(), log)
	}
	if err == nil {
		r.reason = fmt.Sprintf("%s (%s: %s)", strings.TrimSuffix(r.reason, "."), what, h.vm.RefusedLog())
	} else {
		logrus.WithError(err).Warn("the log of the new system disk's guest can't be kept")
	}
	return r, systemdisk.Failed(h.vm, r.reason, r.engine)
}

// giveUpSystemDisk ends a guest whose new system disk doesn't work. The next start has the old one.
func (h *hostagent) giveUpSystemDisk(ctx context.Context, r refusal) {
	r, err := h.refuseSystemDisk(ctx, r)
	if err != nil {
		logrus.WithError(err).Error("the new system disk can't be given up")
		return
	}
	h.givenUp.Store(&r)
	logrus.Errorf("the new system disk is given up: %s", r.reason)
	end := qemu.KillOrphan
	if r.engine { // the guest listens, and may have written to the data disk
		end = qemu.PowerOff
	}
	if err := end(ctx, h.vm); err != nil {
		logrus.WithError(err).Error("the guest of the new system disk can't be ended")
	}
}

// systemDiskFailed records that a guest has ended before its new system disk had booted, and returns its error.
func (h *hostagent) systemDiskFailed(ending *unexpectedExit) error {
	if r := h.givenUp.Load(); r != nil {
		return &refusedError{ending, *r}
	}
	select {
	case <-h.ready:
		return ending
	default:
	}
	if ending.How == event.Killed || !systemdisk.Trying(h.vm) { // by somebody else: that says nothing about the disk
		return ending
	}
	r, err := h.refuseSystemDisk(context.Background(), refusal{reason: refusals[ending.How]})
	if err != nil {
		return errors.Join(ending, err)
	}
	return &refusedError{ending, r}
}

// judgeSystemDisk removes the old system disk when the new one has booted and has started its container engine. It returns why the
// VM has its old one. usable is false when the guest is being ended, or has ended.
func (h *hostagent) judgeSystemDisk(ctx context.Context) (problems []string, usable bool) {
	if systemdisk.Trying(h.vm) {
		switch r, is := h.trySystem(ctx); is {
		case engineFails:
			go h.giveUpSystemDisk(ctx, r)
			return nil, false
		case guestEnded:
			return nil, false
		}
		if err := systemdisk.Booted(h.vm); err != nil {
			logrus.WithError(err).Error("the old system disk can't be removed")
		} else if err := image.Sweep(h.vm.Home); err != nil {
			logrus.WithError(err).Warn("the images that no VM uses are not all removed")
		}
	}
	if h.compareEngines(ctx) == guestEnded {
		return nil, false
	}
	refused, ok := systemdisk.Refused(h.vm)
	if !ok || refused.Engine == systemdisk.Same { // then the engine's own failure is said
		return nil, true
	}
	what, kept := "boot", "All data is as it was"
	if refused.Engine != "" {
		what, kept = "start the container engine, which the old one starts", "Images, containers and volumes are kept"
	}
	return []string{fmt.Sprintf("the VM runs its old system disk, because a newer one did not %s: %s. %s. The next version of RDD tries again, and so does a reset, which keeps the data disk: rdd vm reset %s (the App: rdd reset)", what, refused.Reason, kept, h.vm.Name)}, true
}

// trySystem finds out whether a new system disk that has booted works. If it fails, r says why.
func (h *hostagent) trySystem(ctx context.Context) (r refusal, is engineState) {
	if err := h.login(ctx); err != nil { // Lima gives up waiting, and says nevertheless that it runs
		return refusal{reason: "nobody can log in to its guest"}, engineFails
	}
	if !lima.HasEngine(h.config) || !systemdisk.NeedsEngine(h.vm) {
		return refusal{}, engineRuns
	}
	found, is := h.engineTrial().await(ctx)
	return refusal{reason: found.Words, engine: true}, is
}

func (h *hostagent) login(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	return ssh.Command(ctx, h.vm, "true").Run()
}

// compareEngines finds out whether the old system disk starts the container engine that a new one did not. What keeps both from it
// is not the new disk's fault, such as a full data disk.
func (h *hostagent) compareEngines(ctx context.Context) engineState {
	if refused, ok := systemdisk.Refused(h.vm); !ok || refused.Engine != systemdisk.Unknown {
		return engineRuns
	}
	result := systemdisk.Same
	_, is := h.engineTrial().await(ctx)
	switch is {
	case guestEnded:
		return is
	case engineRuns:
		result = systemdisk.Better
	}
	if err := systemdisk.Compared(h.vm, result); err != nil {
		logrus.WithError(err).Error("how the engine of the old system disk does can't be recorded")
	}
	return is
}
