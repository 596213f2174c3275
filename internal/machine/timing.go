package machine

import (
	"time"

	"rancherdesktop.io/rdd/internal/machine/event"
)

// defaultTiming is for real VMs.
func defaultTiming() timing {
	return timing{
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

// stepTimeout is how long a step of a boot may take before it is called overdue. Nothing ends it then.
func (t timing) stepTimeout(phase string, a Accelerator) time.Duration {
	d, ok := t.stepTimeouts[phase]
	if !ok {
		d = t.defaultStepTimeout
	}
	if a.Name != "" && !a.Hardware {
		d *= time.Duration(t.emulationFactor)
	}
	return d
}
