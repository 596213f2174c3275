package view

import (
	"context"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Resource is a cluster-scoped resource of the control plane whose objects are in a Store.
type Resource struct {
	Version    schema.GroupVersion
	Name       string // plural, as in paths
	Singular   string
	Kind       string
	ShortNames []string
	Categories []string

	New     func() Object         // an empty object
	NewList func() runtime.Object // an empty list, with Items
	Columns []Column              // of tables
	Store   *Store

	// Instead names the command that creates and changes such objects, for the error of a client that tries to do so
	// here: "docker run".
	Instead string

	// Delete deletes the object for real, and returns when that is done; the store is told as of any other change.
	// nil: it can't be deleted. Errors that are an apierrors.APIStatus (see Status) reach the client unchanged.
	// It isn't called for dry runs.
	Delete func(ctx context.Context, o Object, options *metav1.DeleteOptions) error

	// Subresources by their names.
	Subresources map[string]Subresource
}

// Column is one of a table's.
type Column struct {
	Name        string
	Description string
	Type        string      // of OpenAPI; "": string
	Format      string      // "name" for the one that identifies the object
	Wide        func() bool // whether it is shown only with -o wide now; nil: it is not
	Cell        func(o Object, now time.Time) any
}

// Subresource is a path below an object: an action or a stream. Its requests have no timeout, and may be upgraded
// (WebSocket, SPDY). Their context ends with the client's connection, unless that was hijacked, and when the service stops.
type Subresource struct {
	// Methods of HTTP that it answers.
	Methods []string
	// Handler answers one request. Its path is what follows the subresource: "" or "/…"; the query is the client's.
	Handler func(o Object) http.Handler
}

// Status returns the error of another program, which answered with an HTTP status, as one that reaches the client of
// the control plane with the same status and sentence.
func Status(code int, message string) *apierrors.StatusError {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: int32(code), Reason: reasonOf(code), Message: message,
	}}
}

func reasonOf(code int) metav1.StatusReason {
	switch code {
	case http.StatusBadRequest:
		return metav1.StatusReasonBadRequest
	case http.StatusForbidden:
		return metav1.StatusReasonForbidden
	case http.StatusNotFound:
		return metav1.StatusReasonNotFound
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return metav1.StatusReasonMethodNotAllowed
	case http.StatusConflict, http.StatusNotModified:
		return metav1.StatusReasonConflict
	case http.StatusServiceUnavailable:
		return metav1.StatusReasonServiceUnavailable
	case http.StatusGatewayTimeout:
		return metav1.StatusReasonTimeout
	case http.StatusInternalServerError:
		return metav1.StatusReasonInternalError
	}
	return metav1.StatusReasonUnknown
}
