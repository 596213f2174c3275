package v1alpha1

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// The errors that end a wait because the VM is no longer the one, or no longer asked to be what,
// the wait is for. They are wrapped with its name.
var (
	ErrDeleted    = errors.New("was deleted while waiting")
	ErrSuperseded = errors.New("was asked for something else while waiting")
)

// FailedError says that a VM can't reach the state it was asked for, and that waiting won't help.
// +kubebuilder:object:generate=false
type FailedError struct {
	Name    string
	Reason  string // CreateFailed or StartFailed
	Message string // what happened, what it means, what to do
}

func (e *FailedError) Error() string {
	return fmt.Sprintf("VM %q: %s: %s", e.Name, e.Reason, e.Message)
}

// Expectation is what one wait is bound to: one VM and the change that was asked of it. A later status
// of the same VM can satisfy it; an older one, or another VM of the same name, never does.
// +kubebuilder:object:generate=false
type Expectation struct {
	Name       string
	UID        types.UID
	Generation int64
	Run        bool
}

// Expectation returns what vm, as the server answered to a change, was asked to be.
func (vm *LimaVM) Expectation() Expectation {
	return Expectation{Name: vm.Name, UID: vm.UID, Generation: vm.Generation, Run: vm.Spec.Running}
}

// Created judges seen, nil when there is no such VM: do its disk and configuration exist?
func (a Expectation) Created(seen *LimaVM) (done bool, err error) {
	if a.gone(seen) || !seen.DeletionTimestamp.IsZero() {
		return false, a.deleted()
	}
	return seen.SettledCreated(a.Generation)
}

// Running judges seen, nil when there is no such VM: does it run, or has it stopped, as was asked?
func (a Expectation) Running(seen *LimaVM) (done bool, err error) {
	if a.gone(seen) || a.Run && !seen.DeletionTimestamp.IsZero() { // deletion stops it first
		return false, a.deleted()
	}
	if seen.Spec.Running != a.Run {
		return false, fmt.Errorf("VM %q %w: spec.running is now %t", a.Name, ErrSuperseded, seen.Spec.Running)
	}
	return seen.SettledRunning(a.Generation)
}

// Reset judges seen, nil when there is no such VM: has it a new disk, and does it run, or has it
// stopped, as was asked?
func (a Expectation) Reset(seen *LimaVM) (done bool, err error) {
	if done, err := a.Running(seen); !done || err != nil {
		return false, err
	}
	return a.Created(seen)
}

// Observed judges seen, nil when there is no such VM: is the change known to whoever runs the VM?
func (a Expectation) Observed(seen *LimaVM) (done bool, err error) {
	if a.gone(seen) {
		return false, a.deleted()
	}
	return seen.Status.ObservedGeneration >= a.Generation, nil
}

// TemplateStored judges seen, nil when there is no such VM: has it a template of its own?
func (a Expectation) TemplateStored(seen *LimaVM) (done bool, err error) {
	if a.gone(seen) || !seen.DeletionTimestamp.IsZero() {
		return false, a.deleted()
	}
	if seen.Status.TemplateConfigMap != "" {
		return true, nil
	}
	return false, seen.failure(seen.condition(ConditionCreated, a.Generation))
}

// TemplateObserved judges seen, nil when there is no such VM: will its next start use the template with
// the digest next, and not the one before any more?
func (a Expectation) TemplateObserved(before, next string) func(seen *LimaVM) (done bool, err error) {
	return func(seen *LimaVM) (bool, error) {
		if a.gone(seen) {
			return false, a.deleted()
		}
		switch seen.Status.TemplateDigest {
		case next:
			return true, nil
		case before, "":
			return false, nil
		}
		return false, fmt.Errorf("VM %q %w: its template is another one now", a.Name, ErrSuperseded)
	}
}

// Deleted judges seen, nil when there is no such VM: is the VM gone? Another one may have its name.
func (a Expectation) Deleted(seen *LimaVM) (done bool, err error) {
	return a.gone(seen), nil
}

func (a Expectation) gone(seen *LimaVM) bool { return seen == nil || seen.UID != a.UID }

func (a Expectation) deleted() error { return fmt.Errorf("VM %q %w", a.Name, ErrDeleted) }

// SettledCreated reports whether the VM's disk and configuration exist as of generation, or an
// error when that can't come to be without a change.
func (vm *LimaVM) SettledCreated(generation int64) (done bool, err error) {
	created := vm.condition(ConditionCreated, generation)
	if created == nil || vm.ResetPending() {
		return false, nil
	}
	return created.Status == metav1.ConditionTrue, vm.failure(created)
}

// SettledRunning reports whether the VM has reached the end state that spec.running asks for as of
// generation, or an error when that can't come to be without a change.
func (vm *LimaVM) SettledRunning(generation int64) (done bool, err error) {
	running := vm.condition(ConditionRunning, generation)
	if running == nil || vm.ResetPending() {
		return false, nil
	}
	if !vm.Spec.Running {
		return running.Status == metav1.ConditionFalse && running.Reason == ReasonStopped, nil
	}
	if err := vm.failure(vm.condition(ConditionCreated, generation)); err != nil {
		return false, err
	}
	return running.Status == metav1.ConditionTrue && running.Reason == ReasonStarted, vm.failure(running)
}

// ResetPending says whether a reset was asked for whose disk is not gone yet.
func (vm *LimaVM) ResetPending() bool {
	return vm.Spec.ResetAt != nil && !vm.Spec.ResetAt.Equal(vm.Status.ResetAt)
}

// Failure is the newest reason why the VM is not what it was asked to be, permanent or not; nil
// when there is none. After a permanent one nothing is tried until the spec changes.
func (vm *LimaVM) Failure() (failure *FailedError, permanent bool) {
	for _, kind := range []string{ConditionCreated, ConditionRunning} {
		c := vm.condition(kind, vm.Generation)
		if c != nil && failed(c.Reason) && c.Status != metav1.ConditionTrue {
			return &FailedError{vm.Name, c.Reason, c.Message}, c.Status == metav1.ConditionFalse
		}
	}
	return nil, false
}

// condition returns the condition of that type if it takes generation into account, else nil.
func (vm *LimaVM) condition(kind string, generation int64) *metav1.Condition {
	c := meta.FindStatusCondition(vm.Status.Conditions, kind)
	if c == nil || vm.Status.ObservedGeneration < generation || c.ObservedGeneration < generation {
		return nil
	}
	return c
}

func (vm *LimaVM) failure(c *metav1.Condition) error {
	if c != nil && c.Status == metav1.ConditionFalse && failed(c.Reason) {
		return &FailedError{vm.Name, c.Reason, c.Message}
	}
	return nil
}

func failed(reason string) bool {
	switch reason {
	case ReasonCreateFailed, ReasonStartFailed, ReasonStopFailed, ReasonRemoveFailed:
		return true
	}
	return false
}
