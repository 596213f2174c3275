package v1alpha1

import (
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// The errors that end a wait because the VM was deleted, or because it was asked to change again since. They are
// wrapped together with the VM's name.
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

// Expectation is what a wait expects of a VM after a change. A later status of the same VM can meet it; an older
// status, or another VM of the same name, never does. The argument of its methods is the VM as it is now, or nil when
// it doesn't exist.
// +kubebuilder:object:generate=false
type Expectation struct {
	Name       string
	UID        types.UID
	Generation int64
	Run        bool
}

// Expectation returns what to expect after a change; vm is the server's answer to that change.
func (vm *LimaVM) Expectation() Expectation {
	return Expectation{Name: vm.Name, UID: vm.UID, Generation: vm.Generation, Run: vm.Spec.Running}
}

// Created reports whether the VM's disk and configuration exist.
func (e Expectation) Created(seen *LimaVM) (done bool, err error) {
	if e.gone(seen) || !seen.DeletionTimestamp.IsZero() {
		return false, e.deleted()
	}
	return seen.SettledCreated(e.Generation)
}

// Running reports whether the VM runs, or has stopped, as it was asked to.
func (e Expectation) Running(seen *LimaVM) (done bool, err error) {
	if e.gone(seen) || e.Run && !seen.DeletionTimestamp.IsZero() { // deletion stops it first
		return false, e.deleted()
	}
	if seen.Spec.Running != e.Run {
		return false, fmt.Errorf("VM %q %w: spec.running is now %t", e.Name, ErrSuperseded, seen.Spec.Running)
	}
	return seen.SettledRunning(e.Generation)
}

// Reset reports whether the VM has a new disk and then runs, or has stopped, as it was asked to.
func (e Expectation) Reset(seen *LimaVM) (done bool, err error) {
	if done, err := e.Running(seen); !done || err != nil {
		return false, err
	}
	return e.Created(seen)
}

// Observed reports whether the controller has observed the change.
func (e Expectation) Observed(seen *LimaVM) (done bool, err error) {
	if e.gone(seen) {
		return false, e.deleted()
	}
	return seen.Status.ObservedGeneration >= e.Generation, nil
}

// TemplateStored reports whether the VM has a template of its own.
func (e Expectation) TemplateStored(seen *LimaVM) (done bool, err error) {
	if e.gone(seen) || !seen.DeletionTimestamp.IsZero() {
		return false, e.deleted()
	}
	if seen.Status.TemplateConfigMap != "" {
		return true, nil
	}
	return false, seen.failure(seen.condition(ConditionCreated, e.Generation))
}

// TemplateObserved returns a check that reports whether the VM's next start will use the template with the digest
// next, and no longer the one with the digest before.
func (e Expectation) TemplateObserved(before, next string) func(seen *LimaVM) (done bool, err error) {
	return func(seen *LimaVM) (bool, error) {
		if e.gone(seen) {
			return false, e.deleted()
		}
		switch seen.Status.TemplateDigest {
		case next:
			return true, nil
		case before, "":
			return false, nil
		}
		return false, fmt.Errorf("VM %q %w: its template is another one now", e.Name, ErrSuperseded)
	}
}

// Deleted reports whether the VM is gone, although another one may have its name now.
func (e Expectation) Deleted(seen *LimaVM) (done bool, err error) {
	return e.gone(seen), nil
}

func (e Expectation) gone(seen *LimaVM) bool { return seen == nil || seen.UID != e.UID }

func (e Expectation) deleted() error { return fmt.Errorf("VM %q %w", e.Name, ErrDeleted) }

// SettledCreated reports whether the VM's disk and configuration exist as of generation. It returns an error when
// they won't exist without another change.
func (vm *LimaVM) SettledCreated(generation int64) (done bool, err error) {
	created := vm.condition(ConditionCreated, generation)
	if created == nil || vm.ResetPending() {
		return false, nil
	}
	return created.Status == metav1.ConditionTrue, vm.failure(created)
}

// SettledRunning reports whether the VM is in the state that spec.running asks for, as of generation. It returns an
// error when the VM won't reach it without another change.
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

// ResetPending reports whether a reset was requested and the old disk is not gone yet.
func (vm *LimaVM) ResetPending() bool {
	return vm.Spec.ResetAt != nil && !vm.Spec.ResetAt.Equal(vm.Status.ResetAt)
}

// Failure returns the current failure to create, start, stop or remove the VM; nil when there is none. After a
// permanent one nothing is tried until the spec changes.
func (vm *LimaVM) Failure() (failure *FailedError, permanent bool) {
	for _, kind := range []string{ConditionCreated, ConditionRunning} {
		c := vm.condition(kind, vm.Generation)
		if c != nil && failed(c.Reason) && c.Status != metav1.ConditionTrue {
			return &FailedError{vm.Name, c.Reason, c.Message}, c.Status == metav1.ConditionFalse
		}
	}
	return nil, false
}

// condition returns the condition of that type if it has observed generation, else nil.
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
	return slices.Contains([]string{ReasonCreateFailed, ReasonStartFailed, ReasonStopFailed, ReasonRemoveFailed}, reason)
}
