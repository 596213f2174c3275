package controlplane

import (
	"context"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
)

const (
	garbageCollectorWorkers = 2
	// discoverySettleInterval is how long discovery may take to show a definition that changed.
	// Changes within it count as one.
	discoverySettleInterval = 300 * time.Millisecond
	// discoveryRecheckInterval is how often discovery is asked although nothing changed.
	discoveryRecheckInterval = 10 * time.Minute
	// garbageCollectorSyncInterval is the least time between two looks at discovery, and how long a
	// new kind may take to be listed before the collector logs it.
	garbageCollectorSyncInterval = time.Second
)

// startGarbageCollector runs Kubernetes' garbage collector: objects whose owners are gone
// go too, in the foreground, in the background or not at all, as the delete asked.
func (s *Server) startGarbageCollector(ctx context.Context, running *sync.WaitGroup) error {
	client, err := metadata.NewForConfig(s.loopback.config)
	if err != nil {
		return err
	}
	kinds := &servedKinds{
		ServerResourcesInterface: s.client.Discovery(),
		done:                     ctx.Done(),
		changed:                  make(chan struct{}, 1),
		live:                     s.live,
		informers:                &ownerInformers{client: client, known: map[schema.GroupVersionResource]*ownerInformer{}},
	}
	if err := s.onDefinitionChange(kinds.notice); err != nil {
		return err
	}
	mapper := ownerMapper{restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(s.client.Discovery())), s.live}
	started := make(chan struct{})
	close(started)
	collector, err := garbagecollector.NewGarbageCollector(ctx, s.client, client, mapper,
		garbagecollector.DefaultIgnoredResources(), kinds.informers, started)
	if err != nil {
		return fmt.Errorf("garbage collector: %w", err)
	}
	running.Go(func() { collector.Run(ctx, garbageCollectorWorkers, startTimeout) })
	running.Go(func() { collector.Sync(ctx, kinds, garbageCollectorSyncInterval) })
	return nil
}

// servedKinds tells the collector which kinds are served. It answers when definitions have
// changed, so that the collector doesn't ask all the time.
type servedKinds struct {
	discovery.ServerResourcesInterface
	done      <-chan struct{}
	changed   chan struct{}
	asked     bool
	live      live
	informers *ownerInformers
}

func (k *servedKinds) notice() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// ServerPreferredResources answers at once the first time, and then after a change.
func (k *servedKinds) ServerPreferredResources() ([]*metav1.APIResourceList, error) {
	if k.asked {
		k.await()
	}
	k.asked = true
	served, err := k.ServerResourcesInterface.ServerPreferredResources()
	served = k.live.collected(served)
	if err == nil {
		k.informers.prune(served)
	}
	return served, err
}

func (k *servedKinds) await() {
	select {
	case <-k.done:
		return
	case <-time.After(discoveryRecheckInterval):
		return
	case <-k.changed:
	}
	select {
	case <-k.done:
	case <-time.After(discoverySettleInterval):
	}
}

// ownerInformers watch what the collector needs to know of each kind, and no more.
type ownerInformers struct {
	client metadata.Interface

	mu    sync.Mutex
	known map[schema.GroupVersionResource]*ownerInformer
}

type ownerInformer struct {
	informers.GenericInformer
	stop context.CancelFunc // nil until started
}

// ForResource returns the informer of one kind.
func (o *ownerInformers) ForResource(resource schema.GroupVersionResource) (informers.GenericInformer, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if known, ok := o.known[resource]; ok {
		return known.GenericInformer, nil
	}
	informer := metadatainformer.NewFilteredMetadataInformer(o.client, resource, metav1.NamespaceAll, 0, cache.Indexers{}, nil)
	if err := informer.Informer().SetTransform(ownersOnly); err != nil {
		return nil, err
	}
	o.known[resource] = &ownerInformer{GenericInformer: informer}
	return informer, nil
}

// ownersOnly drops what has nothing to do with ownership.
func ownersOnly(obj any) (any, error) {
	if meta, ok := obj.(metav1.Object); ok {
		meta.SetManagedFields(nil)
		meta.SetLabels(nil)
		meta.SetAnnotations(nil)
	}
	return obj, nil
}

// Start runs the informers that don't run yet, until done.
func (o *ownerInformers) Start(done <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, informer := range o.known {
		if informer.stop != nil {
			continue
		}
		ctx, stop := context.WithCancel(context.Background())
		informer.stop = stop
		go func() {
			defer stop()
			select {
			case <-done:
			case <-ctx.Done():
			}
		}()
		go informer.Informer().RunWithContext(ctx)
	}
}

// prune stops the informers of kinds that are gone, which would retry forever.
func (o *ownerInformers) prune(served []*metav1.APIResourceList) {
	still := map[schema.GroupVersionResource]bool{}
	for _, list := range served {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		for _, r := range list.APIResources {
			still[version.WithResource(r.Name)] = true
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for resource, informer := range o.known {
		if still[resource] {
			continue
		}
		if informer.stop != nil {
			informer.stop()
		}
		delete(o.known, resource)
	}
}
