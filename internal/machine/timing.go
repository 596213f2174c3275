package machine

import (
	"time"

	"rancherdesktop.io/rdd/internal/machine/event"
)

// defaultTiming is for real VMs.
func defaultTiming() timing {
	return timing{
		busy:      200 * time.Millisecond,
		calm:      time.Second,
		silence:   time.Minute,
		interrupt: 5 * time.Second,
		stop:      3 * time.Minute,
		slow:      time.Minute,
		emulated:  4,
		step: map[string]time.Duration{
			event.Acceleration: 30 * time.Second,
			event.Leftover:     2 * time.Minute,
			event.Boot:         2 * time.Minute,
			event.Guest:        3 * time.Minute,
		},
	}
}

// limit is how long a step of a boot may take before it is called overdue. Nothing ends it then.
func (t timing) limit(phase string, a Accelerator) time.Duration {
	d, ok := t.step[phase]
	if !ok {
		d = t.slow
	}
	if a.Name != "" && !a.Hardware {
		d *= time.Duration(t.emulated)
	}
	return d
}
