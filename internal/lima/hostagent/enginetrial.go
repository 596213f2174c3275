package hostagent

import (
	"cmp"
	"context"
	"errors"
	"os/exec"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/lima/ssh"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/proc"
)

const (
	engineTimeout  = 15 * time.Second // for the guest's answer
	engineInterval = 2 * time.Second
)

// engineState is what a trial of a guest's container engine has shown.
type engineState string

const (
	engineStarts engineState = "starts" // it may still come up
	engineRuns   engineState = "runs"
	engineFails  engineState = "fails"
	guestEnded   engineState = "ended"
)

// judgeEngine returns the state of an engine after that time. said is what engine.ServicesScript has printed. An engine that takes
// long to start, such as on a slow disk, never fails: only one that the guest has given up, or that ends again and again.
func judgeEngine(said string, waited, limit time.Duration) (engine.Finding, engineState) {
	found := engine.FindingOf(said)
	switch {
	case strings.TrimSpace(said) == "":
		return found, engineRuns
	case found.Failed, found.Words != "" && waited >= limit:
		return found, engineFails
	}
	return found, engineStarts
}

// engineTrial waits for the container engine of a guest.
type engineTrial struct {
	ask   func(context.Context) (string, error) // runs engine.ServicesScript in the guest
	ended func() bool                           // whether the guest has ended
	limit time.Duration
}

// await returns what became of the engine: engineStarts if that is not clear within the limit.
func (t engineTrial) await(ctx context.Context) (engine.Finding, engineState) {
	for began := time.Now(); ; {
		said, err := t.ask(ctx)
		if t.ended() {
			return engine.Finding{}, guestEnded
		}
		waited := time.Since(began)
		if err == nil {
			if found, is := judgeEngine(said, waited, t.limit); is != engineStarts {
				return found, is
			}
		} else {
			logrus.WithError(err).Warn("the guest could not be asked for its container engine")
		}
		if waited >= t.limit {
			return engine.Finding{}, engineStarts
		}
		select {
		case <-ctx.Done():
			return engine.Finding{}, engineStarts
		case <-time.After(engineInterval):
		}
	}
}

// engineName is the engine that the guest runs.
func (h *hostagent) engineName() string { return cmp.Or(h.config.Env[engine.Variable], engine.Moby) }

// engineTrial returns the trial of the guest that runs.
func (h *hostagent) engineTrial() engineTrial {
	h.reportStep(event.Guest, "waiting for the container engine, which shows whether the new system disk works")
	return engineTrial{
		limit: trialTimeouts[h.accelerated],
		ended: func() bool {
			held, err := proc.Held(h.vm.QEMULock())
			return err == nil && !held
		},
		ask: func(ctx context.Context) (string, error) {
			ctx, cancel := context.WithTimeout(ctx, engineTimeout)
			defer cancel()
			out, err := ssh.Command(ctx, h.vm, engine.ServicesScript(h.engineName())).Output()
			if _, ended := errors.AsType[*exec.ExitError](err); ended && len(out) > 0 {
				err = nil // it could not read the journal
			}
			return string(out), err
		},
	}
}
