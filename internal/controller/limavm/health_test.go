package limavm

import (
	"testing"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/machine"
)

// unwell says that the guest runs and does not answer.
func unwell(o *observation) {
	o.state.Health = machine.Health{Reason: "Unresponsive", Message: "not a word"}
}

// byGuest says that the failure is the guest's own doing, in order.
func byGuest(o *observation) { o.state.Failure.ByGuest = true }

func TestGuestThatDoesNotAnswerIsNotRunning(t *testing.T) {
	for _, tc := range []struct {
		name    string
		o       observation
		running string
		action  machine.Action
	}{
		{"to run", situation(machine.Running, unwell), "Unknown/Unresponsive", machine.None},
		{"to stop", situation(machine.Running, unwell, idle), "Unknown/Stopping", machine.Stop},
		{"stopping", situation(machine.Stopping, unwell, idle), "Unknown/Stopping", machine.None},
	} {
		d := decide(tc.o)
		if got := condition(d.status, v1alpha1.ConditionRunning); got != tc.running || d.request.Action != tc.action {
			t.Errorf("%s: %s, %q", tc.name, got, d.request.Action)
		}
	}
}

func TestGuestThatPowersItselfOffIsStartedAgainAndHasNotFailed(t *testing.T) {
	d := decide(situation(machine.Stopped, failing(machine.Start, false), byGuest))
	if got := condition(d.status, v1alpha1.ConditionRunning); got != "Unknown/Starting" || d.status.RestartCount != 0 || d.requeueAfter != initialDelay {
		t.Errorf("%s, %d restarts, again after %s", got, d.status.RestartCount, d.requeueAfter)
	}
	d = decide(situation(machine.Stopped, failing(machine.Start, false), byGuest, counted(0)))
	if d.request.Action != machine.Start {
		t.Errorf("then %q", d.request.Action)
	}
}
