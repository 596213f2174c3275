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
func (e *EngineObjects) Containers(ctx context.Context) (list []Container, reason string, err error) {
	list, reason, err = listObjects[Container](ctx, e.session, containers.Containers)
	slices.SortFunc(list, byContainerName)
	return list, reason, err
}

// Images returns the engine's images by tag, as Containers does.
func (e *EngineObjects) Images(ctx context.Context) (list []Image, reason string, err error) {
	list, reason, err = listObjects[Image](ctx, e.session, containers.Images)
	slices.SortFunc(list, byImageTag)
	return list, reason, err
}

// Volumes returns the engine's volumes by name, as Containers does.
func (e *EngineObjects) Volumes(ctx context.Context) (list []Volume, reason string, err error) {
	list, reason, err = listObjects[Volume](ctx, e.session, containers.Volumes)
	slices.SortFunc(list, byVolumeName)
	return list, reason, err
}

// Networks returns the engine's networks by name, as Containers does.
func (e *EngineObjects) Networks(ctx context.Context) (list []Network, reason string, err error) {
	list, reason, err = listObjects[Network](ctx, e.session, containers.Networks)
	slices.SortFunc(list, byNetworkName)
	return list, reason, err
}

func byContainerName(a, b Container) int {
	return cmp.Or(strings.Compare(a.Status.Name, b.Status.Name), strings.Compare(a.Name, b.Name))
}

func byImageTag(a, b Image) int {
	return cmp.Or(strings.Compare(a.Status.RepoTag, b.Status.RepoTag), strings.Compare(a.Name, b.Name))
}

func byVolumeName(a, b Volume) int { return strings.Compare(a.Name, b.Name) }

func byNetworkName(a, b Network) int {
	return cmp.Or(strings.Compare(a.Status.Name, b.Status.Name), strings.Compare(a.Name, b.Name))
}

func engineResource(c dynamic.Interface, resource string) dynamic.ResourceInterface {
	return c.Resource(containers.GroupVersion.WithResource(resource))
}

// listObjects lists the objects of one kind. There are none in a control plane that doesn't have the kind yet.
func listObjects[T any](ctx context.Context, s *Session, resource string) (list []T, reason string, err error) {
	warned := &warnings{}
	found, err := engineResource(s.client, resource).List(warned.collect(ctx), metav1.ListOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, "", nil
	case err != nil:
		return nil, "", Failed("list "+resource, "", err)
	}
	list = make([]T, 0, len(found.Items))
	for i := range found.Items {
		object, err := decodeObject[T](&found.Items[i])
		if err != nil {
			return nil, "", Failed("list "+resource, "", err)
		}
		list = append(list, object)
	}
	return list, strings.Join(warned.texts, "; "), nil
}

func decodeObject[T any](obj *unstructured.Unstructured) (object T, err error) {
	err = runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &object)
	return object, err
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

// EngineSnapshot is what the engine of an instance has. It is not modified after it was passed to a client.
type EngineSnapshot struct {
	Containers []Container // by name, like the others
	Images     []Image
	Volumes    []Volume
	Networks   []Network
	Err        error // why nothing is known; nil while the engine is stopped
}

// enginePause is the shortest time between two snapshots: a program that starts hundreds of containers makes thousands of
// events.
const enginePause = 50 * time.Millisecond

// WatchEngine returns a snapshot of the engine's objects and one after changes, until ctx or the loop ends. It starts nothing,
// and continues across stops and starts of the engine and of the service.
func (c *Core) WatchEngine(ctx context.Context) iter.Seq[EngineSnapshot] {
	return func(yield func(EngineSnapshot) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		retry := newRetryBackoff()
		var last error
		for first := true; ctx.Err() == nil; first = false {
			began := time.Now()
			continues, err := c.followEngine(ctx, yield)
			if !continues || ctx.Err() != nil {
				return
			}
			if err != nil && (first || !sameError(err, last)) && !yield(EngineSnapshot{Err: err}) {
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
	resource string
	watch.Event
}

// errWatchEnded means that the control plane has ended a watch, which is then begun again.
var errWatchEnded = errors.New("the service has ended the connection")

// followEngine lists and watches all kinds until one of the watches ends.
func (c *Core) followEngine(ctx context.Context, yield func(EngineSnapshot) bool) (continues bool, err error) {
	session, err := c.Connect(ctx)
	if err != nil {
		return true, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	objects := map[string]map[string]*unstructured.Unstructured{}
	events := make(chan engineEvent)
	for _, resource := range []string{containers.Containers, containers.Images, containers.Volumes, containers.Networks} {
		if objects[resource], err = session.watchObjects(ctx, resource, events); err != nil {
			return true, err
		}
	}
	for {
		snapshot, err := engineSnapshot(objects)
		if err != nil {
			return true, err
		}
		if !yield(snapshot) {
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
				switch {
				case !ok || ev.Type == watch.Error:
					return true, errWatchEnded
				case ev.Type == watch.Deleted:
					delete(objects[ev.resource], obj.GetName())
				default:
					objects[ev.resource][obj.GetName()] = obj
				}
				if pause == nil {
					pause = time.After(enginePause)
				}
			}
		}
	}
}

// watchObjects lists the objects of one kind by name, and sends their changes until ctx ends. An event without an object
// ends them.
func (s *Session) watchObjects(ctx context.Context, resource string, events chan<- engineEvent) (map[string]*unstructured.Unstructured, error) {
	objects := map[string]*unstructured.Unstructured{}
	client := engineResource(s.client, resource)
	list, err := client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, Failed("list "+resource, "", err)
	}
	for i := range list.Items {
		objects[list.Items[i].GetName()] = &list.Items[i]
	}
	changes, err := client.Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		return nil, Failed("watch "+resource, "", err)
	}
	go func() {
		defer changes.Stop()
		for {
			var ev engineEvent
			select {
			case <-ctx.Done():
				return
			case change, open := <-changes.ResultChan():
				if ev.resource = resource; open {
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
	return objects, nil
}

func engineSnapshot(objects map[string]map[string]*unstructured.Unstructured) (s EngineSnapshot, err error) {
	if s.Containers, err = sorted(objects[containers.Containers], byContainerName); err != nil {
		return s, err
	}
	if s.Images, err = sorted(objects[containers.Images], byImageTag); err != nil {
		return s, err
	}
	if s.Volumes, err = sorted(objects[containers.Volumes], byVolumeName); err != nil {
		return s, err
	}
	s.Networks, err = sorted(objects[containers.Networks], byNetworkName)
	return s, err
}

func sorted[T any](objects map[string]*unstructured.Unstructured, order func(a, b T) int) ([]T, error) {
	list := make([]T, 0, len(objects))
	for obj := range maps.Values(objects) {
		object, err := decodeObject[T](obj)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", obj.GetName(), err)
		}
		list = append(list, object)
	}
	slices.SortFunc(list, order)
	return list, nil
}
