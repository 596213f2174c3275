package limavm

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/machine"
)

// Delays between attempts after failures in a row: the first, doubled each time up to the longest. A
// VM that has run for steady begins anew.
const (
	firstDelay   = time.Second
	longestDelay = time.Minute
	steady       = 10 * time.Minute
)

// memory is what is remembered of a VM between two decisions, in this process only. Another process
// begins with none: it tries at once.
type memory struct {
	generation int64     // of the spec last decided on
	requested  int64     // of the spec when the worker was last asked for something
	older      time.Time // when the failure happened that belongs to an older generation
	counted    time.Time // when the newest counted failure happened
	exits      int       // counted exits of the hostagent
	attempts   int       // failures in a row
	notBefore  time.Time // no attempt before
	committed  time.Time // newest status write
}

// trouble is what stands against the current spec.
type trouble struct {
	failure *machine.Failure // of what the current generation asks for; nil when none
	tried   bool             // that generation itself was tried
	exits   int32            // hostagents that died since the last decision
}

// permanent reports whether trying again can't help.
func (t trouble) permanent() bool {
	return t.failure != nil && t.tried && t.failure.Permanent &&
		(t.failure.Action == machine.Prepare || t.failure.Action == machine.Start)
}

// learn counts what is new since the last decision and says what stands. A new generation is tried at
// once: failures of the old one no longer count.
func (m *memory) learn(o observation) trouble {
	fail := o.seen.Failure
	if m.generation != o.vm.Generation {
		m.generation, m.attempts, m.notBefore = o.vm.Generation, 0, time.Time{}
		if fail != nil {
			m.older = fail.At
		}
	}
	if fail != nil && fail.At.Equal(m.older) {
		fail = nil
	}
	t := trouble{failure: fail, tried: m.requested == o.vm.Generation}
	if o.seen.Exits > m.exits {
		t.exits = int32(min(o.seen.Exits-m.exits, 1<<20))
		m.exits = o.seen.Exits
	}
	if t.exits == 0 && (fail == nil || fail.At.Equal(m.counted)) {
		return t
	}
	if fail != nil {
		m.counted = fail.At
	}
	if ran(o.vm, o.now) > steady {
		m.attempts = 0
	}
	m.attempts++
	m.notBefore = o.now.Add(delay(m.attempts))
	return t
}

// ran is how long the VM is known to have run without a break.
func ran(vm *v1alpha1.LimaVM, now time.Time) time.Duration {
	c := meta.FindStatusCondition(vm.Status.Conditions, v1alpha1.ConditionRunning)
	if c == nil || c.Status != metav1.ConditionTrue {
		return 0
	}
	return now.Sub(c.LastTransitionTime.Time)
}

// delay is how long to wait after that many failures in a row.
func delay(attempts int) time.Duration {
	d := firstDelay
	for ; attempts > 1 && d < longestDelay; attempts-- {
		d *= 2
	}
	return min(d, longestDelay)
}
