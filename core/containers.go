package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	containers "rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
)

// Container is a container of the engine.
type Container = containers.Container

// Image is a tag of an image of the engine, or an image without one.
type Image = containers.Image

// Volume is a volume of the engine.
type Volume = containers.Volume

// Network is a network of the engine.
type Network = containers.Network

// EngineObjects are the objects of an instance's container engine. The control plane doesn't store them: they are what the
// engine has now, and none while it doesn't run.
type EngineObjects struct{ session *Session }

// Engine returns the objects of the engine of the session's instance.
func (s *Session) Engine() *EngineObjects { return &EngineObjects{s} }

// Containers returns the engine's containers by name. reason says why there are none if the engine doesn't answer.
func (e *EngineObjects) Containers(ctx context.Context) (list []*Container, reason string, err error) {
	list, reason, err = listObjects[Container](ctx, e.session, containers.Containers)
	slices.SortFunc(list, byContainerName)
	return list, reason, err
}

// Images returns the engine's images by tag, as Containers does.
func (e *EngineObjects) Images(ctx context.Context) (list []*Image, reason string, err error) {
	list, reason, err = listObjects[Image](ctx, e.session, containers.Images)
	slices.SortFunc(list, byImageTag)
	return list, reason, err
}

// Volumes returns the engine's volumes by name, as Containers does.
func (e *EngineObjects) Volumes(ctx context.Context) (list []*Volume, reason string, err error) {
	list, reason, err = listObjects[Volume](ctx, e.session, containers.Volumes)
	slices.SortFunc(list, byVolumeName)
	return list, reason, err
}

// Networks returns the engine's networks by name, as Containers does.
func (e *EngineObjects) Networks(ctx context.Context) (list []*Network, reason string, err error) {
	list, reason, err = listObjects[Network](ctx, e.session, containers.Networks)
	slices.SortFunc(list, byNetworkName)
	return list, reason, err
}

func byContainerName(a, b *Container) int {
	return cmp.Or(strings.Compare(a.Status.Name, b.Status.Name), strings.Compare(a.Name, b.Name))
}

func byImageTag(a, b *Image) int {
	return cmp.Or(strings.Compare(a.Status.RepoTag, b.Status.RepoTag), strings.Compare(a.Name, b.Name))
}

func byVolumeName(a, b *Volume) int { return strings.Compare(a.Name, b.Name) }

func byNetworkName(a, b *Network) int {
	return cmp.Or(strings.Compare(a.Status.Name, b.Status.Name), strings.Compare(a.Name, b.Name))
}

func engineResource(c dynamic.Interface, resource string) dynamic.ResourceInterface {
	return c.Resource(containers.GroupVersion.WithResource(resource))
}

// listObjects lists the objects of one kind. There are none in a control plane that doesn't have the kind yet.
func listObjects[T any](ctx context.Context, s *Session, resource string) (list []*T, reason string, err error) {
	warned := &warnings{}
	found, err := engineResource(s.client, resource).List(warned.collect(ctx), metav1.ListOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, "", nil
	case err != nil:
		return nil, "", Failed("list "+resource, "", err)
	}
	list = make([]*T, 0, len(found.Items))
	for i := range found.Items {
		object, err := decodeObject[T](&found.Items[i])
		if err != nil {
			return nil, "", Failed("list "+resource, "", err)
		}
		list = append(list, object)
	}
	return list, strings.Join(warned.texts, "; "), nil
}

func decodeObject[T any](obj *unstructured.Unstructured) (*T, error) {
	object := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, object); err != nil {
		return nil, fmt.Errorf("read %s: %w", obj.GetName(), err)
	}
	return object, nil
}

// warnings collects the warnings in the control plane's answers to the requests with its context.
type warnings struct {
	mu    sync.Mutex
	texts []string
}

type warningsKey struct{}

func (w *warnings) collect(ctx context.Context) context.Context {
	return context.WithValue(ctx, warningsKey{}, w)
}

// warningHandler passes each warning to the warnings in the context of its request. Otherwise client-go would write it to
// stderr, in the format of a log.
type warningHandler struct{}

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext. The code of a warning for users is 299 (RFC 7234).
func (warningHandler) HandleWarningHeaderWithContext(ctx context.Context, code int, _, text string) {
	w, ok := ctx.Value(warningsKey{}).(*warnings)
	if !ok || code != 299 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}

// EngineSnapshot is what the engine of an instance has. It is not modified after it was passed to a client. An object that
// has not changed is the same one as in the snapshot before.
type EngineSnapshot struct {
	Containers []*Container // by name, like the others
	Images     []*Image
	Volumes    []*Volume
	Networks   []*Network
	Err        error // why nothing is known; nil while the engine is stopped
}

// enginePause is the shortest time between two snapshots: a program that starts hundreds of containers makes thousands of
// events.
const enginePause = 50 * time.Millisecond

// WatchEngine returns a snapshot of the engine's objects and one after changes, until ctx or the loop ends. It has the objects
// of some kinds; without a kind, of all. It starts nothing, and continues across stops and starts of the engine and of the
// service.
func (c *Core) WatchEngine(ctx context.Context, only ...EngineKind) iter.Seq[EngineSnapshot] {
	return func(yield func(EngineSnapshot) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		retry := newRetryBackoff()
		kinds := newEngineKinds(only)
		var last error
		for first := true; ctx.Err() == nil; first = false {
			began := time.Now()
			continues, err := c.followEngine(ctx, kinds, yield)
			if !continues || ctx.Err() != nil {
				return
			}
			ended := errors.Is(err, errWatchEnded) // the next list says more
			if err != nil && !ended && (first || !sameError(err, last)) && !yield(EngineSnapshot{Err: err}) {
				return
			}
			if last = err; time.Since(began) > maxRetryDelay {
				retry = newRetryBackoff()
			}
			select {
			case <-ctx.Done():
			case <-time.After(retry.Step()):
			}
		}
	}
}

// engineEvent is an event of the watch of one kind.
type engineEvent struct {
	kind engineKind
	watch.Event
}

// errWatchEnded means that the control plane has ended a watch, which is then begun again.
var errWatchEnded = errors.New("the service has ended the connection")

// followEngine lists and watches all kinds until one of the watches ends.
func (c *Core) followEngine(ctx context.Context, kinds engineKinds, yield func(EngineSnapshot) bool) (continues bool, err error) {
	session, err := c.Connect(ctx)
	if err != nil {
		return true, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := make(chan engineEvent)
	for _, kind := range kinds.all() {
		if err := session.watchObjects(ctx, kind, events); err != nil {
			return true, err
		}
	}
	for {
		if !yield(kinds.snapshot()) {
			return false, nil
		}
		var pause <-chan time.Time // nil until the first event
		for changed := false; !changed; {
			select {
			case <-ctx.Done():
				return false, nil
			case <-pause:
				changed = true
			case ev := <-events:
				obj, ok := ev.Object.(*unstructured.Unstructured)
				if !ok || ev.Type == watch.Error {
					return true, errWatchEnded
				}
				if err := ev.kind.apply(ev.Type, obj); err != nil {
					return true, err
				}
				if pause == nil {
					pause = time.After(enginePause)
				}
			}
		}
	}
}

// watchObjects lists the objects of one kind, and sends their changes until ctx ends. An event without an object ends them.
func (s *Session) watchObjects(ctx context.Context, kind engineKind, events chan<- engineEvent) error {
	client := engineResource(s.client, kind.resource())
	list, err := client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return Failed("list "+kind.resource(), "", err)
	}
	if err := kind.replace(list.Items); err != nil {
		return Failed("list "+kind.resource(), "", err)
	}
	changes, err := client.Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		return Failed("watch "+kind.resource(), "", err)
	}
	go func() {
		defer changes.Stop()
		for {
			ev := engineEvent{kind: kind}
			select {
			case <-ctx.Done():
				return
			case change, open := <-changes.ResultChan():
				if open {
					ev.Event = change
				}
			}
			select {
			case <-ctx.Done():
				return
			case events <- ev:
			}
			if ev.Object == nil {
				return
			}
		}
	}()
	return nil
}

// engineKinds has the objects of the engine that a watch knows, decoded once.
type engineKinds struct {
	containers *objectsOf[Container]
	images     *objectsOf[Image]
	volumes    *objectsOf[Volume]
	networks   *objectsOf[Network]

	only []EngineKind // empty: all
}

func newEngineKinds(only []EngineKind) engineKinds {
	return engineKinds{
		&objectsOf[Container]{name: containers.Containers, order: byContainerName}, &objectsOf[Image]{name: containers.Images, order: byImageTag},
		&objectsOf[Volume]{name: containers.Volumes, order: byVolumeName}, &objectsOf[Network]{name: containers.Networks, order: byNetworkName}, only,
	}
}

func (k engineKinds) all() []engineKind {
	all := []engineKind{k.containers, k.images, k.volumes, k.networks}
	if len(k.only) == 0 {
		return all
	}
	return slices.DeleteFunc(all, func(kind engineKind) bool { return !slices.Contains(k.only, EngineKind(kind.resource())) })
}

func (k engineKinds) snapshot() EngineSnapshot {
	return EngineSnapshot{Containers: k.containers.list(), Images: k.images.list(), Volumes: k.volumes.list(), Networks: k.networks.list()}
}

// engineKind is the objects of one kind.
type engineKind interface {
	resource() string
	replace(items []unstructured.Unstructured) error
	apply(change watch.EventType, obj *unstructured.Unstructured) error
}

type objectsOf[T any] struct {
	name   string
	order  func(a, b *T) int
	byName map[string]*T
	sorted []*T // nil after a change
}

func (o *objectsOf[T]) resource() string { return o.name }

// replace takes what a list has. Objects that are equal to those before stay the same.
func (o *objectsOf[T]) replace(items []unstructured.Unstructured) error {
	before := o.byName
	o.byName, o.sorted = make(map[string]*T, len(items)), nil
	for i := range items {
		if err := o.apply(watch.Added, &items[i]); err != nil {
			return err
		}
		name := items[i].GetName()
		if was := before[name]; was != nil && equality.Semantic.DeepEqual(was, o.byName[name]) {
			o.byName[name] = was
		}
	}
	return nil
}

func (o *objectsOf[T]) apply(change watch.EventType, obj *unstructured.Unstructured) error {
	o.sorted = nil
	if change == watch.Deleted {
		delete(o.byName, obj.GetName())
		return nil
	}
	object, err := decodeObject[T](obj)
	if err == nil {
		o.byName[obj.GetName()] = object
	}
	return err
}

func (o *objectsOf[T]) list() []*T {
	if o.sorted == nil {
		o.sorted = slices.SortedFunc(maps.Values(o.byName), o.order)
	}
	return o.sorted
}
