package core

import (
	"context"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilwait "k8s.io/apimachinery/pkg/util/wait"
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
	pollInterval      = time.Second
	initialRetryDelay = 100 * time.Millisecond
	maxRetryDelay     = 2 * time.Second
	mostAtOneTime     = 1000 // changes of VMs that become one snapshot
)

// Watch gives the whole picture first, and again on every change, until ctx ends or the loop does.
// It starts nothing, and goes on over stops, starts and crashes of the service. Changes that come
// faster than the loop takes them become one snapshot.
func (c *Core) Watch(ctx context.Context) iter.Seq[Snapshot] {
	return func(yield func(Snapshot) bool) {
		w := watcher{core: c, yield: yield, changed: make(chan struct{}, 1), retry: newRetryBackoff()}
		defer w.close()
		for goesOn := true; goesOn && ctx.Err() == nil; {
			goesOn = w.run(ctx)
		}
	}
}

// watcher carries one Watch. Its methods say whether the caller's loop goes on.
type watcher struct {
	core  *Core
	yield func(Snapshot) bool

	files   *fsnotify.Watcher // tells of changes of the service's record; nil: looking has to do
	changed chan struct{}     // holds one while nobody has looked at a change
	last    Snapshot
	said    bool // last was given
	retry   utilwait.Backoff
}

func (w *watcher) close() {
	if w.files != nil {
		_ = w.files.Close()
	}
}

// listen makes changed tell of changes of the record from now on. It is asked before each look: the
// directory may be a new one.
func (w *watcher) listen() {
	if w.files == nil {
		files, err := fsnotify.NewWatcher()
		if err != nil {
			return
		}
		w.files = files
		go w.watchFile(files)
	}
	_ = w.files.Add(w.core.inst.DataDir()) // there may be none yet; looking finds it
}

// watchFile takes what the system tells, until the end, so that nothing piles up behind a slow caller.
func (w *watcher) watchFile(files *fsnotify.Watcher) {
	for {
		select {
		case _, open := <-files.Events:
			if !open {
				return
			}
		case _, open := <-files.Errors: // something was lost
			if !open {
				return
			}
		}
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
}

// send gives the caller a snapshot that differs from the last one.
func (w *watcher) send(s Snapshot) bool {
	if w.said && s.Service == w.last.Service && s.VMs == nil && w.last.VMs == nil && sameError(s.Err, w.last.Err) {
		return true
	}
	w.last, w.said = s, true
	return w.yield(s)
}

func sameError(a, b error) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Error() == b.Error())
}

// run looks at the service once, and follows its VMs for as long as it can be asked.
func (w *watcher) run(ctx context.Context) bool {
	w.listen() // before the look, so that nothing is missed between the two
	status, err := w.core.Service().Status(ctx)
	if ctx.Err() != nil {
		return false
	}
	pause := pollInterval
	if err == nil && (status.State == ServiceRunning || status.State == ServiceStopping) {
		began := time.Now()
		goesOn, followErr := w.follow(ctx, status)
		switch {
		case !goesOn || ctx.Err() != nil:
			return false
		case time.Since(began) > maxRetryDelay:
			w.retry = newRetryBackoff()
		}
		status, err = w.core.Service().Status(ctx)
		if ctx.Err() != nil {
			return false
		}
		if err == nil && status.State == ServiceRunning {
			if followErr == nil { // it was there, and may be again at once
				return w.wait(ctx, w.retry.Step())
			}
			err, pause = followErr, w.retry.Step()
		}
	}
	return w.send(Snapshot{Service: status, Err: err}) && w.wait(ctx, pause)
}

// newRetryBackoff gives the delays before the VMs are listed again, which grow while each answer ends soon.
func newRetryBackoff() utilwait.Backoff {
	return utilwait.Backoff{Duration: initialRetryDelay, Factor: 2, Cap: maxRetryDelay, Steps: math.MaxInt32}
}

// wait ends with a change of the record, or after a while.
func (w *watcher) wait(ctx context.Context, pause time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-w.changed:
	case <-time.After(pause):
	}
	return true
}

// follow lists the VMs and tells of their changes until the control plane ends the watch. An error
// means that the VMs could not be seen at all.
func (w *watcher) follow(ctx context.Context, status ServiceStatus) (goesOn bool, err error) {
	session, err := w.core.session()
	if err != nil {
		return true, err
	}
	resource := vmResource(session.client)
	list, err := resource.List(ctx, metav1.ListOptions{})
	if err != nil {
		return true, Failed("list VMs of", status.Instance, err)
	}
	events, err := resource.Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		return true, Failed("watch VMs of", status.Instance, err)
	}
	defer events.Stop()
	vms := map[string]VM{}
	for i := range list.Items {
		if err := apply(vms, watch.Added, &list.Items[i]); err != nil {
			return true, err
		}
	}
	for {
		picture := Snapshot{Service: status, VMs: slices.AppendSeq(make([]VM, 0, len(vms)), maps.Values(vms))}
		slices.SortFunc(picture.VMs, func(a, b VM) int { return strings.Compare(a.Name, b.Name) })
		if !w.send(picture) {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-w.changed:
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
				if n == mostAtOneTime || !nextQueued(events.ResultChan(), &ev, &open) {
					break
				}
			}
		}
	}
}

// nextQueued takes one more event if there is one already.
func nextQueued(events <-chan watch.Event, ev *watch.Event, open *bool) bool {
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
			return Failed("read VM", obj.GetName(), err)
		}
		vms[obj.GetName()] = *vm
	case watch.Bookmark, watch.Error:
	}
	return nil
}
