package machine

import (
	"cmp"
	"time"

	"rancherdesktop.io/rdd/internal/machine/event"
)

// timeouts holds the durations of the workers.
type timeouts struct {
	busyInterval     time.Duration // between checks of a hostagent that boots or stops
	runningInterval  time.Duration // between checks of one that runs
	stallTimeout     time.Duration // longest silence of a child that reports at least every second
	interruptTimeout time.Duration // for a child to end after it was interrupted
	endTimeout       time.Duration // for a process that is about to end to release its locks
	retryInterval    time.Duration // before a reconcile that has failed is repeated; it doubles up to maxRetryInterval
	stopTimeout      time.Duration // for a guest to power off, before its state says that it is late
	stepTimeouts     map[string]time.Duration
}

const (
	defaultStepTimeout = time.Minute // for a step that is not in stepTimeouts
	maxRetryInterval   = time.Minute // see retryInterval
	emulationFactor    = 4           // by which an emulated guest may be slower
)

// defaultTimeouts returns the timeouts for real VMs.
func defaultTimeouts() timeouts {
	return timeouts{
		busyInterval:     200 * time.Millisecond,
		runningInterval:  time.Second,
		stallTimeout:     time.Minute,
		interruptTimeout: 5 * time.Second,
		endTimeout:       time.Second,
		retryInterval:    time.Second,
		stopTimeout:      3 * time.Minute,
		stepTimeouts: map[string]time.Duration{
			event.Acceleration: 30 * time.Second,
			event.Leftover:     2 * time.Minute,
			event.Boot:         2 * time.Minute,
			event.Guest:        3 * time.Minute,
		},
	}
}

// stepTimeout returns how long a step of a boot may take before it is reported as overdue. The step goes on after that.
func (t timeouts) stepTimeout(phase string, a Accelerator) time.Duration {
	d := cmp.Or(t.stepTimeouts[phase], defaultStepTimeout)
	if a.Name != "" && !a.Hardware {
		d *= emulationFactor
	}
	return d
}
