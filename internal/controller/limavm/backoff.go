package limavm

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/machine"
)

// The delay before the next attempt doubles with each failure in a row, from initialDelay to maxDelay. A VM that has run for
// resetInterval begins with initialDelay again.
const (
	initialDelay  = time.Second
	maxDelay      = time.Minute
	resetInterval = 10 * time.Minute
)

// backoff is what the reconciler keeps about a VM between two decisions. It is only in memory: a new process tries at once.
type backoff struct {
	uid             types.UID // another VM of the same name has another one
	generation      int64     // of the spec of the last decision
	requested       int64     // generation of the spec at the last request to the worker
	previousFailure time.Time // time of a failure that belongs to an older generation
	lastFailure     time.Time // time of the newest failure that was counted
	exits           int       // counted exits of the hostagent
	attempts        int       // failures in a row
	nextRetry       time.Time // no attempt before that
	lastWrite       time.Time // time of the newest status write
}

// failureState is what has failed for the current spec.
type failureState struct {
	failure *machine.Failure // of what the current generation asks for; nil when there is none
	tried   bool             // the worker was asked for the current generation
	exits   int32            // exits of the hostagent since the last decision
}

// permanent reports whether another attempt would fail, too.
func (t failureState) permanent() bool {
	return t.failure != nil && t.tried && t.failure.Permanent &&
		(t.failure.Action == machine.Prepare || t.failure.Action == machine.Start)
}

// update counts what has failed since the last decision. A new generation is tried at once: failures of the old one don't count.
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
	running := meta.FindStatusCondition(o.vm.Status.Conditions, v1alpha1.ConditionRunning)
	if running != nil && running.Status == metav1.ConditionTrue && o.now.Sub(running.LastTransitionTime.Time) > resetInterval {
		m.attempts = 0
	}
	m.attempts++
	m.nextRetry = o.now.Add(backoffDelay(m.attempts))
	return t
}

// backoffDelay returns the delay after that many failures in a row.
func backoffDelay(attempts int) time.Duration {
	const noOverflow = 30
	return min(initialDelay<<min(attempts-1, noOverflow), maxDelay)
}
