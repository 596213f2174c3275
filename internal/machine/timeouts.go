package machine

import (
	"time"

	"rancherdesktop.io/rdd/internal/machine/event"
)

// timeouts holds the durations of the workers.
type timeouts struct {
	busyInterval       time.Duration // between looks at a hostagent that boots or stops
	runningInterval    time.Duration // and at one that runs
	stallTimeout       time.Duration // longest silence of a child that reports at least every second
	interruptTimeout   time.Duration // for a canceled child to end by itself
	stopTimeout        time.Duration // for a guest to power off, before its state says that it is late
	stepTimeouts       map[string]time.Duration
	defaultStepTimeout time.Duration // for a step that has no time of its own
	emulationFactor    int           // factor for the steps of an emulated guest
}

// defaultTimeouts is for real VMs.
func defaultTimeouts() timeouts {
	return timeouts{
		busyInterval:       200 * time.Millisecond,
		runningInterval:    time.Second,
		stallTimeout:       time.Minute,
		interruptTimeout:   5 * time.Second,
		stopTimeout:        3 * time.Minute,
		defaultStepTimeout: time.Minute,
		emulationFactor:    4,
		stepTimeouts: map[string]time.Duration{
			event.Acceleration: 30 * time.Second,
			event.Leftover:     2 * time.Minute,
			event.Boot:         2 * time.Minute,
			event.Guest:        3 * time.Minute,
		},
	}
}

// stepTimeout is how long a step of a boot may take before it is reported as overdue. It is not ended then.
func (t timeouts) stepTimeout(phase string, a Accelerator) time.Duration {
	d, ok := t.stepTimeouts[phase]
	if !ok {
		d = t.defaultStepTimeout
	}
	if a.Name != "" && !a.Hardware {
		d *= time.Duration(t.emulationFactor)
	}
	return d
}
