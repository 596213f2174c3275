package controller

import (
	"context"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// EventSource puts objects into a controller's queue once the controller runs. The zero EventSource is ready for use.
type EventSource struct {
	queue atomic.Pointer[workqueue.TypedRateLimitingInterface[reconcile.Request]]
}

// Enqueue makes the controller reconcile the cluster-scoped object of that name. It never blocks, and several calls may become
// one. Before the controller runs it does nothing, because the controller begins with all objects.
func (s *EventSource) Enqueue(name string) {
	if queue := s.queue.Load(); queue != nil {
		(*queue).Add(reconcile.Request{NamespacedName: types.NamespacedName{Name: name}})
	}
}

// Source returns the source that the controller watches.
func (s *EventSource) Source() source.Source {
	return source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		s.queue.Store(&queue)
		return nil
	})
}
