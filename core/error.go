package core

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/lifecycle"
)

// Kind is the kind of an error. It says what a client can do about the error.
type Kind int

// The kinds. Every client handles all of them.
const (
	Other        Kind = iota // anything not named below
	Usage                    // the request is invalid; nothing was tried
	Rejected                 // the control plane refused the change
	Timeout                  // the wait ended before the state was reached; the work continues
	Incompatible             // the running service has another protocol version
	Canceled                 // the caller ended the wait; the work continues
	NotFound                 // the named object does not exist
)

// String returns the name of the kind. Clients that aren't written in Go rely on it.
func (k Kind) String() string {
	return [...]string{"other", "usage", "rejected", "timeout", "incompatible", "canceled", "not-found"}[k]
}

// Error is the failure of an operation.
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

// ErrNotRunning means that the service of the instance doesn't run.
var ErrNotRunning = errors.New("the service is not running; start it with: rdd svc start")

// errAppNotRunning is ErrNotRunning for a user of the App.
var errAppNotRunning = errors.New("the App is not running; start it with: rdd start")

// ChangingError means that the service of the instance is starting or stopping.
type ChangingError struct {
	phase lifecycle.Phase // empty when it is not known which of the two
	step  string
}

func (e *ChangingError) Error() string { return e.remedy("rdd svc start") }

// Stopping reports whether the service is stopping.
func (e *ChangingError) Stopping() bool { return e.phase != lifecycle.Starting && e.phase != "" }

// remedy is the text of the error for a user who starts with command what is missing. Such a command waits for a service that
// starts, and starts one again that stops.
func (e *ChangingError) remedy(command string) string {
	switch e.phase {
	case "":
		return "the service is starting or stopping; wait for it, or start it again, with: " + command
	case lifecycle.Starting:
		return fmt.Sprintf("the service is starting (%s); wait for it with: %s", e.step, command)
	}
	return fmt.Sprintf("the service is stopping (%s); start it again with: %s", e.step, command)
}

// KindOf returns the kind of err: that of the outermost Error with a kind other than Other, or else one that follows from
// the other errors in the chain. So a rejection that wraps a deadline stays a rejection.
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

// NothingBegan reports whether a wait ended before anything was requested, so that no work continues.
func NothingBegan(err error) bool {
	_, unbegun := errors.AsType[*lifecycle.NotStartedError](err)
	return unbegun
}

// explicit returns the kind of an Error in the tree of err; Other if there is none.
func explicit(err error) Kind {
	if e, ok := err.(*Error); ok && e.Kind != Other { //nolint:errorlint // this function walks the tree
		return e.Kind
	}
	switch e := err.(type) { //nolint:errorlint // this function walks the tree
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

// Failed wraps err with the operation and its object, once. It keeps the kind of err.
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

// FieldError is an error in one field of a request.
type FieldError struct {
	Field   string // of the object, such as metadata.name; a field of a template follows it, as in spec.template.cpus
	Message string
}

// templateFields are the fields of objects that contain or refer to a template or its params.
var templateFields = []string{"spec.templateRef", "spec.template", "spec.params", "data.template"}

// String returns the message with the field of the template or the VM, as users know it.
func (f FieldError) String() string {
	field := strings.TrimPrefix(f.Field, "spec.")
	for _, holder := range templateFields {
		if f.Field == holder || f.Field == holder+".name" {
			return f.Message
		}
		if inner, ok := strings.CutPrefix(f.Field, holder+"."); ok {
			field = inner
			break
		}
	}
	return field + ": " + f.Message
}

// FieldErrors lists the errors in the fields of a request that the control plane rejected.
func FieldErrors(err error) []FieldError {
	var status apierrors.APIStatus
	switch {
	case apierrors.IsAlreadyExists(err):
		return []FieldError{{"metadata.name", "a VM with this name already exists; choose another name"}}
	case !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil:
		return nil
	}
	var all []FieldError
	for _, cause := range status.Status().Details.Causes {
		f := FieldError{cause.Field, strings.TrimPrefix(strings.TrimPrefix(cause.Message, "Invalid value: "), "Forbidden: ")}
		// The message begins with the value, or with the field of the template.
		if field, message, found := strings.Cut(f.Message, ": "); found && !strings.ContainsAny(field, " \n\"") && field != "" && unicode.IsLetter(rune(field[0])) {
			f.Field, f.Message = f.Field+"."+field, message
		}
		all = append(all, f)
	}
	return all
}
