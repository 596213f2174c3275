// Package admission defines how a controller accepts or rejects writes: the resources, and a function for one write. The control
// plane calls the function in process. It is a package of its own so that controllers and their tests don't link the API server.
package admission

import (
	"context"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Operation is what a request does to an object.
type Operation string

// The operations that are reviewed; reads are not. A patch or an apply arrives as Create or Update, and a delete of a collection
// as one Delete per object.
const (
	Create Operation = "CREATE"
	Update Operation = "UPDATE"
	Delete Operation = "DELETE"
)

// Review is a write that is about to happen. The objects are complete: defaults are applied, and UID, generation and managed
// fields are set. They are shared with other rules and must not be changed.
type Review struct {
	Operation   Operation
	Resource    schema.GroupVersionResource
	Subresource string // "status" and the like; empty for the object itself
	Namespace   string // empty for cluster-scoped resources
	Name        string
	Object      *unstructured.Unstructured // after the write; nil on Delete
	Old         *unstructured.Unstructured // before the write; nil on Create
	DryRun      bool                       // nothing will be stored: decide, but have no side effect
	User        string
}

// ByService reports whether the service itself writes: its controllers or its garbage collector.
func (r Review) ByService() bool { return strings.HasPrefix(r.User, "system:") }

// Admission reviews writes to some resources.
type Admission struct {
	// Resources are reviewed in every served version.
	Resources []schema.GroupResource
	// Admit returns nil to accept the write. The client gets an apierrors.APIStatus unchanged, and any other error as 403
	// Forbidden with its text. Admit runs on the request's goroutine and must end with ctx.
	Admit func(ctx context.Context, r Review) error
}
