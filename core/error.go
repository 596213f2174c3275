package core

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/lifecycle"
)

// Kind says why an operation failed, in terms a client can act on.
type Kind int

// The kinds are closed: every client handles each of them.
const (
	Other        Kind = iota // anything not named below
	Usage                    // the request makes no sense; nothing was tried
	Rejected                 // the control plane refused the change
	Timeout                  // the wait ended before the state was reached; the work goes on
	Incompatible             // the running service speaks another version
	Canceled                 // the caller gave up waiting; the work goes on
	NotFound                 // the named object does not exist
)

// String is the kind in a word, which clients that aren't Go rely on.
func (k Kind) String() string {
	return [...]string{"other", "usage", "rejected", "timeout", "incompatible", "canceled", "not-found"}[k]
}

// Error is an operation's failure: what was tried, on what, and the kind.
type Error struct {
	Kind   Kind
	Op     string // "start VM"; empty when the error only gives Err a kind
	Object string // "rd"; may be empty
	Err    error
}

func (e *Error) Error() string {
	switch {
	case e.Op == "":
		return e.Err.Error()
	case e.Object == "":
		return fmt.Sprintf("%s: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("%s %q: %v", e.Op, e.Object, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// ErrNotRunning means that the instance's service does not run.
var ErrNotRunning = errors.New("the service is not running; start it with: rdd svc start")

// KindOf reports the kind of err. An explicit kind wins over whatever else is in the chain, so a
// rejection that carries a deadline stays a rejection; of several explicit ones the outermost does.
func KindOf(err error) Kind {
	if kind := explicit(err); kind != Other {
		return kind
	}
	switch {
	case errors.Is(err, instance.ErrName), errors.Is(err, instance.ErrLogLevel):
		return Usage
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.Is(err, context.Canceled):
		return Canceled
	case apierrors.IsNotFound(err):
		return NotFound
	case apierrors.IsInvalid(err), apierrors.IsForbidden(err), apierrors.IsBadRequest(err),
		apierrors.IsAlreadyExists(err), apierrors.IsConflict(err), apierrors.IsRequestEntityTooLargeError(err):
		return Rejected
	}
	return Other
}

// NothingBegan says of the end of a wait that nothing had been asked for before it, so that nothing goes on.
func NothingBegan(err error) bool {
	_, unbegun := errors.AsType[*lifecycle.NotStartedError](err)
	return unbegun
}

// explicit is the kind that an Error in the tree of err gives it; Other when none does.
func explicit(err error) Kind {
	if e, ok := err.(*Error); ok && e.Kind != Other { //nolint:errorlint // this walks the tree itself
		return e.Kind
	}
	switch e := err.(type) { //nolint:errorlint // this walks the tree itself
	case interface{ Unwrap() error }:
		return explicit(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, part := range e.Unwrap() {
			if kind := explicit(part); kind != Other {
				return kind
			}
		}
	}
	return Other
}

// Failed wraps err once with what was tried. Its kind is what err says.
func Failed(op, object string, err error) error {
	if err == nil {
		return nil
	}
	var typed *Error
	if errors.As(err, &typed) && typed.Op == op && typed.Object == object {
		return err
	}
	return &Error{Kind: KindOf(err), Op: op, Object: object, Err: err}
}
