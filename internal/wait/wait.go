// Package wait follows one object of the control plane until it reaches a state. The core calls
// it for every operation that waits.
package wait

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
)

// Reader reads one kind of object. A dynamic.ResourceInterface is one.
type Reader interface {
	List(ctx context.Context, opts metav1.ListOptions) (*unstructured.UnstructuredList, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

// Final is a Reader's error after which another attempt would fail, too. Until returns the error that it wraps.
type Final struct{ Err error }

func (f *Final) Error() string { return f.Err.Error() }
func (f *Final) Unwrap() error { return f.Err }

// Check judges one copy of an object, which is nil when the object does not exist. An error ends the wait: the state can't be
// reached any more.
type Check func(obj *unstructured.Unstructured) (done bool, err error)

const (
	initialDelay = 50 * time.Millisecond // after the first failure; it doubles with each failure in a row
	maxDelay     = 2 * time.Second       // a watch that has lasted longer resets the delay
)

func newBackoff() wait.Backoff {
	return wait.Backoff{Duration: initialDelay, Factor: 2, Cap: maxDelay, Steps: math.MaxInt32}
}

// Until reads the object called name, follows it, and returns when check has decided.
//
// When a watch closes, expires or fails, Until reads the object again and goes on. It gives up only when ctx ends (and returns
// its cause), when the reader's error is Final, or when the server forbids the request.
func Until(ctx context.Context, r Reader, name string, check Check) error {
	backoff := newBackoff()
	for {
		began := time.Now()
		decided, err := follow(ctx, r, name, check)
		var final *Final
		switch {
		case decided:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &final):
			return final.Err
		case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err), meta.IsNoMatchError(err):
			return err
		case time.Since(began) > maxDelay:
			backoff = newBackoff()
		}
		select {
		case <-time.After(backoff.Step()):
		case <-ctx.Done():
		}
	}
}

var errDropped = errors.New("watch dropped")

// follow lists and then watches once. decided is false when that ended without a decision; err then says why.
func follow(ctx context.Context, r Reader, name string, check Check) (decided bool, err error) {
	only := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()}
	list, err := r.List(ctx, only)
	if err != nil {
		return false, err
	}
	var obj *unstructured.Unstructured
	if len(list.Items) > 0 {
		obj = &list.Items[0]
	}
	if done, err := check(obj); done || err != nil {
		return true, err
	}
	only.ResourceVersion = list.GetResourceVersion()
	w, err := r.Watch(ctx, only)
	if err != nil {
		return false, err
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case ev, open := <-w.ResultChan():
			if !open {
				return false, errDropped
			}
			obj, ok := ev.Object.(*unstructured.Unstructured)
			if !ok || ev.Type == watch.Error {
				return false, fmt.Errorf("watch %s: %w", name, apierrors.FromObject(ev.Object))
			}
			if ev.Type == watch.Deleted {
				obj = nil
			}
			if done, err := check(obj); done || err != nil {
				return true, err
			}
		}
	}
}
