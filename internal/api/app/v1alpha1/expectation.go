package v1alpha1

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// The errors that end a wait because the App was deleted, or because it was asked to change again since.
var (
	ErrDeleted    = errors.New("the App was deleted while waiting")
	ErrSuperseded = errors.New("the App was asked for something else while waiting")
)

// FailedError says that the App can't reach the state it was asked for, and that waiting won't help.
// +kubebuilder:object:generate=false
type FailedError struct {
	Reason  string // CreateFailed, StartFailed, StopFailed or ConnectFailed
	Message string // what happened, what it means, what to do
}

func (e *FailedError) Error() string { return e.Reason + ": " + e.Message }

// Expectation is what a wait expects of the App after a change. A later status of the same App can meet it; an older
// status, or an App that was made since, never does. The argument of its methods is the App as it is now, or nil when
// it doesn't exist.
// +kubebuilder:object:generate=false
type Expectation struct {
	UID        types.UID
	Generation int64
	Run        bool
}

// Expectation returns what to expect after a change; app is the server's answer to that change.
func (app *App) Expectation() Expectation {
	return Expectation{UID: app.UID, Generation: app.Generation, Run: app.Spec.Running}
}

// Settled reports whether everything is as the App was asked to be.
func (e Expectation) Settled(seen *App) (done bool, err error) {
	if e.gone(seen) || e.Run && !seen.DeletionTimestamp.IsZero() { // deletion stops it first
		return false, ErrDeleted
	}
	if seen.Spec.Running != e.Run {
		return false, fmt.Errorf("%w: spec.running is now %t", ErrSuperseded, seen.Spec.Running)
	}
	return seen.Settled(e.Generation)
}

// Observed reports whether the controller has seen the change.
func (e Expectation) Observed(seen *App) (done bool, err error) {
	if e.gone(seen) {
		return false, ErrDeleted
	}
	return seen.Status.ObservedGeneration >= e.Generation, nil
}

// Deleted reports whether the App is gone, although there may be another one now.
func (e Expectation) Deleted(seen *App) (done bool, err error) { return e.gone(seen), nil }

func (e Expectation) gone(seen *App) bool { return seen == nil || seen.UID != e.UID }

// Settled reports whether everything is as the App was asked to be, as of generation. It returns an error when it
// won't be without another change.
func (app *App) Settled(generation int64) (done bool, err error) {
	settled := app.condition(ConditionSettled, generation)
	if settled == nil {
		return false, nil
	}
	if settled.Status == metav1.ConditionTrue {
		return true, nil
	}
	if failure, permanent := app.Failure(); permanent {
		return false, failure
	}
	return false, nil
}

// Failure returns the current failure of the App; nil when there is none. After a permanent one nothing is tried until
// the spec changes.
func (app *App) Failure() (failure *FailedError, permanent bool) {
	for _, kind := range []string{ConditionCreated, ConditionRunning, ConditionContainerEngineReady} {
		c := app.condition(kind, app.Generation)
		if c != nil && strings.HasSuffix(c.Reason, "Failed") && c.Status != metav1.ConditionTrue {
			return &FailedError{c.Reason, c.Message}, c.Status == metav1.ConditionFalse
		}
	}
	return nil, false
}

// condition returns the condition of that type if it has observed generation, else nil.
func (app *App) condition(kind string, generation int64) *metav1.Condition {
	c := meta.FindStatusCondition(app.Status.Conditions, kind)
	if c == nil || app.Status.ObservedGeneration < generation || c.ObservedGeneration < generation {
		return nil
	}
	return c
}
