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
	// cleanerDelay lets writes that were admitted before a namespace began to go
	// reach the store. Another server on the same store hears of it later.
	cleanerDelay         = 100 * time.Millisecond
	cleanerDelayExternal = 2 * time.Second
	// Retries while finalizers hold the contents back, the first and the longest wait.
	cleanerRetry    = 200 * time.Millisecond
	cleanerMaxRetry = 10 * time.Second
)

// cleaner empties namespaces that are being deleted and lets them go. Kubernetes' own
// controller does the same, five seconds later each time.
type cleaner struct {
	queue   workqueue.TypedRateLimitingInterface[string]
	deleter deletion.NamespacedResourcesDeleterInterface
	delay   time.Duration
}

func (s *Server) startCleaner(ctx context.Context, running *sync.WaitGroup) error {
	kinds := s.client.Discovery().ServerPreferredNamespacedResources
	// The deleter ends the process when it finds no kinds at all.
	if found, err := kinds(); err != nil || len(found) == 0 {
		return fmt.Errorf("discover what a namespace may hold: %w", errors.Join(err, errors.New("nothing complete was found")))
	}
	client, err := metadata.NewForConfig(s.loopback.config)
	if err != nil {
		return err
	}
	c := &cleaner{
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[string](cleanerRetry, cleanerMaxRetry)),
		deleter: deletion.NewNamespacedResourcesDeleter(ctx, s.client.CoreV1().Namespaces(), client, s.client.CoreV1(), kinds, corev1.FinalizerKubernetes),
		delay:   cleanerDelay,
	}
	if s.config.Store.External() {
		c.delay = cleanerDelayExternal
	}
	_, err = s.informers.Core().V1().Namespaces().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    c.notice,
		UpdateFunc: func(_, now any) { c.notice(now) },
	})
	if err != nil {
		return err
	}
	running.Go(func() { c.run(ctx) })
	context.AfterFunc(ctx, c.queue.ShutDown)
	return nil
}

func (c *cleaner) notice(obj any) {
	if namespace, ok := obj.(*corev1.Namespace); ok && namespace.DeletionTimestamp != nil {
		c.queue.AddAfter(namespace.Name, c.delay)
	}
}

func (c *cleaner) run(ctx context.Context) {
	for {
		name, ended := c.queue.Get()
		if ended {
			return
		}
		c.clean(ctx, name)
		c.queue.Done(name)
	}
}

func (c *cleaner) clean(ctx context.Context, name string) {
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
