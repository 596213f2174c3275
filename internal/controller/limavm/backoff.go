package limavm

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/machine"
)

// Delays between attempts after failures in a row: the first, doubled each time up to the longest. A
// VM that has run for steady starts again with the first.
const (
	initialDelay  = time.Second
	maxDelay      = time.Minute
	resetInterval = 10 * time.Minute
)

// backoff is what is remembered of a VM between two decisions, in this process only. Another process
// begins with none: it tries at once.
type backoff struct {
	generation      int64     // of the spec last decided on
	requested       int64     // of the spec when the worker was last asked for something
	previousFailure time.Time // when the failure happened that belongs to an older generation
	lastFailure     time.Time // when the newest counted failure happened
	exits           int       // counted exits of the hostagent
	attempts        int       // failures in a row
	nextRetry       time.Time // no attempt before
	lastWrite       time.Time // newest status write
}

// failureState is what stands against the current spec.
type failureState struct {
	failure *machine.Failure // of what the current generation asks for; nil when none
	tried   bool             // that generation itself was tried
	exits   int32            // hostagents that died since the last decision
}

// permanent reports whether trying again can't help.
func (t failureState) permanent() bool {
	return t.failure != nil && t.tried && t.failure.Permanent &&
		(t.failure.Action == machine.Prepare || t.failure.Action == machine.Start)
}

// update counts what is new since the last decision and says what stands. A new generation is tried at
// once: failures of the old one no longer count.
func (m *backoff) update(o observation) failureState {
	fail := o.state.Failure
	if m.generation != o.vm.Generation {
		m.generation, m.attempts, m.nextRetry = o.vm.Generation, 0, time.Time{}
		if fail != nil {
			m.previousFailure = fail.At
		}
	}
	if fail != nil && fail.At.Equal(m.previousFailure) {
		fail = nil
	}
	t := failureState{failure: fail, tried: m.requested == o.vm.Generation}
	if o.state.Exits > m.exits {
		t.exits = int32(min(o.state.Exits-m.exits, 1<<20))
		m.exits = o.state.Exits
	}
	if t.exits == 0 && (fail == nil || fail.At.Equal(m.lastFailure)) {
		return t
	}
	if fail != nil {
		m.lastFailure = fail.At
	}
	if uptime(o.vm, o.now) > resetInterval {
		m.attempts = 0
	}
	m.attempts++
	m.nextRetry = o.now.Add(backoffDelay(m.attempts))
	return t
}

// uptime is how long the VM is known to have run without a break.
func uptime(vm *v1alpha1.LimaVM, now time.Time) time.Duration {
	c := meta.FindStatusCondition(vm.Status.Conditions, v1alpha1.ConditionRunning)
	if c == nil || c.Status != metav1.ConditionTrue {
		return 0
	}
	return now.Sub(c.LastTransitionTime.Time)
}

// backoffDelay is how long to wait after that many failures in a row.
func backoffDelay(attempts int) time.Duration {
	d := initialDelay
	for ; attempts > 1 && d < maxDelay; attempts-- {
		d *= 2
	}
	return min(d, maxDelay)
}
