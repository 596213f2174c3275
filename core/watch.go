package core

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
)

// Snapshot is the whole picture of an instance at one moment. It is not changed after it was given.
type Snapshot struct {
	Service ServiceStatus
	VMs     []VM  // by name; nil while the control plane can't be asked
	Err     error // why the service or its VMs can't be seen; nil when all is known
}

// Looks at a service that nothing tells of: a process that dies leaves its record as it was.
const (
	lookInterval  = time.Second
	firstRetry    = 100 * time.Millisecond
	longestRetry  = 2 * time.Second
	mostAtOneTime = 1000 // changes of VMs that become one snapshot
)

// Watch gives the whole picture first, and again on every change, until ctx ends or the loop does.
// It starts nothing, and goes on over stops, starts and crashes of the service. Changes that come
// faster than the loop takes them become one snapshot.
func (c *Core) Watch(ctx context.Context) iter.Seq[Snapshot] {
	return func(yield func(Snapshot) bool) {
		w := watcher{core: c, yield: yield, retry: firstRetry}
		defer w.close()
		for goesOn := true; goesOn && ctx.Err() == nil; {
			goesOn = w.pass(ctx)
		}
	}
}

// watcher carries one Watch. Its methods say whether the caller's loop goes on.
type watcher struct {
	core  *Core
	yield func(Snapshot) bool

	files *fsnotify.Watcher // tells of changes of the service's record; nil: looking has to do
	last  Snapshot
	said  bool // last was given
	retry time.Duration
}

func (w *watcher) close() {
	if w.files != nil {
		_ = w.files.Close()
	}
}

// changes tells that the record may have changed.
func (w *watcher) changes() <-chan fsnotify.Event {
	if w.files == nil && w.core.inst.Exists() {
		if files, err := fsnotify.NewWatcher(); err == nil && files.Add(w.core.inst.DataDir()) == nil {
			w.files = files
		} else if err == nil {
			_ = files.Close()
		}
	}
	if w.files == nil {
		return nil
	}
	return w.files.Events
}

// settle takes what else was told meanwhile.
func settle[T any](events <-chan T) {
	for {
		select {
		case _, open := <-events:
			if !open {
				return
			}
		default:
			return
		}
	}
}

// say gives the caller a snapshot that differs from the last one.
func (w *watcher) say(s Snapshot) bool {
	if w.said && s.Service == w.last.Service && s.VMs == nil && w.last.VMs == nil && sameError(s.Err, w.last.Err) {
		return true
	}
	w.last, w.said = s, true
	return w.yield(s)
}

func sameError(a, b error) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Error() == b.Error())
}

// pass looks at the service once, and follows its VMs for as long as it can be asked.
func (w *watcher) pass(ctx context.Context) bool {
	changed := w.changes() // before the look, so that nothing is missed between the two
	status, err := w.core.Service().Status(ctx)
	if ctx.Err() != nil {
		return false
	}
	pause := lookInterval
	if err == nil && (status.State == ServiceRunning || status.State == ServiceStopping) {
		goesOn, followErr := w.follow(ctx, status, changed)
		if !goesOn || ctx.Err() != nil {
			return false
		}
		if status, err = w.core.Service().Status(ctx); err == nil && status.State == ServiceRunning {
			err, pause = followErr, w.retry
			w.retry = min(2*w.retry, longestRetry)
		}
		if followErr == nil {
			return true // it was there, and isn't any more: look again at once
		}
	}
	if !w.say(Snapshot{Service: status, Err: err}) {
		return false
	}
	select {
	case <-ctx.Done():
	case <-changed:
		settle(changed)
	case <-time.After(pause):
	}
	return true
}

// follow lists the VMs and tells of their changes until the control plane ends the watch. An error
// means that the VMs could not be seen at all.
func (w *watcher) follow(ctx context.Context, status ServiceStatus, changed <-chan fsnotify.Event) (goesOn bool, err error) {
	session, err := w.core.session()
	if err != nil {
		return true, err
	}
	resource := vmResource(session.client)
	list, err := resource.List(ctx, metav1.ListOptions{})
	if err != nil {
		return true, failed("list VMs of", status.Instance, err)
	}
	events, err := resource.Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		return true, failed("watch VMs of", status.Instance, err)
	}
	defer events.Stop()
	w.retry = firstRetry
	vms := map[string]VM{}
	for i := range list.Items {
		if err := apply(vms, watch.Added, &list.Items[i]); err != nil {
			return true, err
		}
	}
	for {
		picture := Snapshot{Service: status, VMs: slices.AppendSeq(make([]VM, 0, len(vms)), maps.Values(vms))}
		slices.SortFunc(picture.VMs, func(a, b VM) int { return strings.Compare(a.Name, b.Name) })
		if !w.say(picture) {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-changed:
			settle(changed)
			if now, err := w.core.Service().Status(ctx); err == nil {
				status = now
			}
		case ev, open := <-events.ResultChan():
			for n := 0; ; n++ {
				obj, ok := ev.Object.(*unstructured.Unstructured)
				if !open || !ok || ev.Type == watch.Error {
					return true, nil
				}
				if err := apply(vms, ev.Type, obj); err != nil {
					return true, err
				}
				if n == mostAtOneTime || !another(events.ResultChan(), &ev, &open) {
					break
				}
			}
		}
	}
}

// another takes one more event if there is one already.
func another(events <-chan watch.Event, ev *watch.Event, open *bool) bool {
	select {
	case *ev, *open = <-events:
		return true
	default:
		return false
	}
}

func apply(vms map[string]VM, change watch.EventType, obj *unstructured.Unstructured) error {
	switch change {
	case watch.Deleted:
		delete(vms, obj.GetName())
	case watch.Added, watch.Modified:
		vm, err := decode(obj)
		if err != nil {
			return failed("read VM", obj.GetName(), err)
		}
		vms[obj.GetName()] = *vm
	case watch.Bookmark, watch.Error:
	}
	return nil
}
