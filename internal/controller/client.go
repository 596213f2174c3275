package controller

import (
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Live is what a Controller's Admission reads with: see Controller.Connect, which is its Connect. The zero Live is ready for use.
type Live struct {
	reader atomic.Pointer[client.Reader]
}

// Connect gives it the reader.
func (l *Live) Connect(reader client.Reader) { l.reader.Store(&reader) }

// Reader returns the reader. Until Connect is called, its error rejects a write with the advice to try again.
func (l *Live) Reader() (client.Reader, error) {
	if r := l.reader.Load(); r != nil {
		return *r, nil
	}
	return nil, apierrors.NewServiceUnavailable("the service is starting; try again in a moment")
}

// OptimisticPatch returns a patch with the differences from was. The server rejects it if the object was changed meanwhile.
func OptimisticPatch(was client.Object) client.Patch {
	return client.MergeFromWithOptions(was, client.MergeFromWithOptimisticLock{})
}
