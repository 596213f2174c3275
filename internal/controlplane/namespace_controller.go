package controlplane

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/kubernetes/pkg/controller/namespace/deletion"
)

const (
	// namespaceDelay is the time for writes to reach the store that were admitted before the
	// namespace was deleted. Another server on the same store hears of the delete later.
	namespaceDelay         = 100 * time.Millisecond
	namespaceDelayExternal = 2 * time.Second
	// The first and the longest time between retries while finalizers block the deletion.
	namespaceRetryInterval    = 200 * time.Millisecond
	namespaceMaxRetryInterval = 10 * time.Second
)

// namespaceController deletes the contents of namespaces that are being deleted, and then
// their finalizer. Kubernetes' own controller does that five seconds later each time.
type namespaceController struct {
	queue   workqueue.TypedRateLimitingInterface[string]
	deleter deletion.NamespacedResourcesDeleterInterface
	delay   time.Duration
}

func (s *Server) startNamespaceController(ctx context.Context, running *sync.WaitGroup) error {
	kinds := s.client.Discovery().ServerPreferredNamespacedResources
	// The deleter ends the process when it finds no kinds at all.
	if found, err := kinds(); err != nil || len(found) == 0 {
		return fmt.Errorf("discover what a namespace may hold: %w", errors.Join(err, errors.New("nothing complete was found")))
	}
	client, err := metadata.NewForConfig(s.loopback.config)
	if err != nil {
		return err
	}
	c := &namespaceController{
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[string](namespaceRetryInterval, namespaceMaxRetryInterval)),
		deleter: deletion.NewNamespacedResourcesDeleter(ctx, s.client.CoreV1().Namespaces(), client, s.client.CoreV1(), kinds, corev1.FinalizerKubernetes),
		delay:   namespaceDelay,
	}
	if s.config.Store.External() {
		c.delay = namespaceDelayExternal
	}
	_, err = s.informers.Core().V1().Namespaces().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    c.enqueue,
		UpdateFunc: func(_, now any) { c.enqueue(now) },
	})
	if err != nil {
		return err
	}
	running.Go(func() { c.run(ctx) })
	context.AfterFunc(ctx, c.queue.ShutDown)
	return nil
}

func (c *namespaceController) enqueue(obj any) {
	if namespace, ok := obj.(*corev1.Namespace); ok && namespace.DeletionTimestamp != nil {
		c.queue.AddAfter(namespace.Name, c.delay)
	}
}

func (c *namespaceController) run(ctx context.Context) {
	for {
		name, ended := c.queue.Get()
		if ended {
			return
		}
		c.deleteContents(ctx, name)
		c.queue.Done(name)
	}
}

func (c *namespaceController) deleteContents(ctx context.Context, name string) {
	err := c.deleter.Delete(ctx, name)
	if err == nil {
		c.queue.Forget(name)
		return
	}
	var remaining *deletion.ResourcesRemainingError
	if !errors.As(err, &remaining) && ctx.Err() == nil {
		utilruntime.HandleErrorWithContext(ctx, err, "Deletion of namespace failed, will be tried again", "namespace", name)
	}
	c.queue.AddRateLimited(name)
}
