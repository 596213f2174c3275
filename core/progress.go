package core

import (
	"fmt"
	"time"

	"github.com/docker/go-units"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/machine/event"
)

// Phases of this package's events. The other phases are those of a VM, which docs/limavm.md lists.
const (
	// PhaseLog is the phase of an event whose message is the path of the operation's log. It comes first and is not a step.
	PhaseLog = "log"

	phaseRetry    = "retry" // something has failed and will be retried
	phaseStarting = "starting"
	phaseStopping = "stopping"
	phaseDeleting = "deleting"
)

// Event is a step of an operation.
type Event struct {
	Op      string        `json:"op"`
	Object  string        `json:"object"`
	Phase   string        `json:"phase"`
	Step    int           `json:"step,omitempty"`
	Steps   int           `json:"steps,omitempty"`
	Bytes   int64         `json:"bytes,omitempty"`
	Total   int64         `json:"total,omitempty"`
	Elapsed time.Duration `json:"-"` // since the start of the operation; in JSON, seconds
	Message string        `json:"message,omitempty"`
}

// eventOf converts the progress in a VM's status.
func eventOf(p *v1alpha1.Progress) Event {
	return Event{Phase: p.Phase, Step: int(p.Step), Steps: int(p.Steps), Bytes: p.Bytes, Total: p.Total, Message: p.Message}
}

// ProgressText describes the progress in a status in one line.
func ProgressText(p *v1alpha1.Progress) string { return eventOf(p).Text(1) }

// Stopping reports whether the step is the shutdown of guests.
func (e Event) Stopping() bool { return e.Phase == event.Stop || e.Phase == phaseStopping }

// Text describes the step in one line, such as "[2/5] image 42 % of 695MiB: debian.qcow2". The percentage is
// rounded down to a multiple of percent.
func (e Event) Text(percent int64) string {
	if e.Phase == PhaseLog {
		return "boot log: " + e.Message
	}
	s := e.Phase
	if e.Steps > 0 {
		s = fmt.Sprintf("[%d/%d] %s", e.Step, e.Steps, s)
	}
	if e.Total > 0 {
		s += fmt.Sprintf(" %d %% of %s", percent*(e.percent()/percent), units.BytesSize(float64(e.Total)))
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

// short describes the step in one or two words, such as "image 42 %".
func (e Event) short() string {
	switch {
	case e.Total > 0:
		return fmt.Sprintf("%s %d %%", e.Phase, e.percent())
	case e.Steps > 0:
		return fmt.Sprintf("%s, %d of %d", e.Phase, e.Step, e.Steps)
	case e.Phase == event.Stop: // is the same as the state
		return ""
	}
	return e.Phase
}

func (e Event) percent() int64 { return 100 * e.Bytes / e.Total }
