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
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilwait "k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

// Snapshot is the state of an instance. It is not modified after it was passed to a client.
type Snapshot struct {
	Service ServiceStatus
	VMs     []VM  // by name; nil while the control plane doesn't respond
	App     *App  // nil while there is none, or the control plane doesn't respond
	Err     error // why the state of the service or its VMs is unknown
}

const (
	pollInterval      = time.Second // of the service's status, because a crash doesn't change the record
	initialRetryDelay = 100 * time.Millisecond
	maxRetryDelay     = 2 * time.Second
	maxCoalesced      = 1000 // changes of VMs in one snapshot
)

// Watch returns a snapshot of the current state and one after each change, until ctx or the loop ends. It starts nothing, and
// continues across stops, starts and crashes of the service. If the loop is slow, several changes become one snapshot.
func (c *Core) Watch(ctx context.Context) iter.Seq[Snapshot] {
	return func(yield func(Snapshot) bool) {
		w := watcher{core: c, yield: yield, changed: make(chan struct{}, 1), retry: newRetryBackoff()}
		defer w.close()
		for continues := true; continues && ctx.Err() == nil; {
			continues = w.run(ctx)
		}
	}
}

// watcher is the state of one Watch. Its methods report whether the caller's loop continues.
type watcher struct {
	core  *Core
	yield func(Snapshot) bool

	files   *fsnotify.Watcher // watches the service's record; nil: only polling works
	changed chan struct{}     // has a value after a change of the record
	last    Snapshot
	sent    bool // last was passed to the caller
	retry   utilwait.Backoff
}

func (w *watcher) close() {
	if w.files != nil {
		_ = w.files.Close()
	}
}

// listen watches the record. It is called before each request of the status, because the directory may be a new one.
func (w *watcher) listen() {
	if w.files == nil {
		files, err := fsnotify.NewWatcher()
		if err != nil {
			return
		}
		w.files = files
		go w.watchFile(files)
	}
	_ = w.files.Add(w.core.inst.DataDir()) // the directory may be missing; polling finds a new one
}

// watchFile forwards file events to changed. It never blocks, so that no events queue up behind a slow caller.
func (w *watcher) watchFile(files *fsnotify.Watcher) {
	for {
		select {
		case _, open := <-files.Events:
			if !open {
				return
			}
		case _, open := <-files.Errors: // events were lost
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

// send passes a snapshot to the caller, unless it is the same as the last one.
func (w *watcher) send(s Snapshot) bool {
	if w.sent && s.Service == w.last.Service && s.VMs == nil && w.last.VMs == nil && sameError(s.Err, w.last.Err) {
		return true
	}
	w.last, w.sent = s, true
	return w.yield(s)
}

func sameError(a, b error) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Error() == b.Error())
}

// run requests the status of the service, and watches its VMs while it runs.
func (w *watcher) run(ctx context.Context) bool {
	w.listen() // before the request, so that no change is missed
	status, err := w.core.Service().Status(ctx)
	if ctx.Err() != nil {
		return false
	}
	pause := pollInterval
	if err == nil && (status.State == ServiceRunning || status.State == ServiceStopping) {
		began := time.Now()
		continues, followErr := w.follow(ctx, status)
		switch {
		case !continues || ctx.Err() != nil:
			return false
		case time.Since(began) > maxRetryDelay:
			w.retry = newRetryBackoff()
		}
		status, err = w.core.Service().Status(ctx)
		if ctx.Err() != nil {
			return false
		}
		if err == nil && status.State == ServiceRunning {
			if followErr == nil { // the connection worked, and may work again at once
				return w.wait(ctx, w.retry.Step())
			}
			err, pause = followErr, w.retry.Step()
		}
	}
	return w.send(Snapshot{Service: status, Err: err}) && w.wait(ctx, pause)
}

// newRetryBackoff returns the growing delays before the VMs are listed again after a watch that has failed early.
func newRetryBackoff() utilwait.Backoff {
	return utilwait.Backoff{Duration: initialRetryDelay, Factor: 2, Cap: maxRetryDelay, Steps: math.MaxInt32}
}

// wait returns after a change of the record, or after the pause.
func (w *watcher) wait(ctx context.Context, pause time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-w.changed:
	case <-time.After(pause):
	}
	return true
}

// follow lists the VMs and the App, and watches them until the control plane ends a watch. An error means that they could not
// be listed or watched.
func (w *watcher) follow(ctx context.Context, status ServiceStatus) (continues bool, err error) {
	session, err := w.core.session()
	if err != nil {
		return true, err
	}
	vms := map[string]VM{}
	changeVM := func(change watch.EventType, obj *unstructured.Unstructured) error { return apply(vms, change, obj) }
	vmEvents, err := listAndWatch(ctx, vmResource(session.client), changeVM)
	if err != nil {
		return true, Failed("watch VMs of", status.Instance, err)
	}
	defer vmEvents.Stop()
	var theApp *App
	changeApp := func(change watch.EventType, obj *unstructured.Unstructured) (err error) {
		if theApp = nil; change != watch.Deleted {
			theApp, err = decodeApp(obj)
		}
		return err
	}
	appEvents, err := listAndWatch(ctx, appResource(session.client), changeApp)
	if apierrors.IsNotFound(err) { // a service of an older version, which has no App
		appEvents, err = watch.NewFake(), nil
	}
	if err != nil {
		return true, Failed("watch the App of", status.Instance, err)
	}
	defer appEvents.Stop()
	for {
		snapshot := Snapshot{Service: status, VMs: slices.AppendSeq(make([]VM, 0, len(vms)), maps.Values(vms)), App: theApp}
		slices.SortFunc(snapshot.VMs, func(a, b VM) int { return strings.Compare(a.Name, b.Name) })
		if !w.send(snapshot) {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-w.changed:
			if now, err := w.core.Service().Status(ctx); err == nil {
				status = now
			}
		case ev, open := <-vmEvents.ResultChan():
			if ended, err := applyQueued(vmEvents, ev, open, changeVM); ended || err != nil {
				return true, err
			}
		case ev, open := <-appEvents.ResultChan():
			if ended, err := applyQueued(appEvents, ev, open, changeApp); ended || err != nil {
				return true, err
			}
		}
	}
}

// listAndWatch applies all objects of a resource as added, and returns a watch that begins after them.
func listAndWatch(ctx context.Context, resource dynamic.ResourceInterface, change func(watch.EventType, *unstructured.Unstructured) error) (watch.Interface, error) {
	list, err := resource.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for i := range list.Items {
		if err := change(watch.Added, &list.Items[i]); err != nil {
			return nil, err
		}
	}
	return resource.Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
}

// applyQueued applies an event of a watch, and those that are queued after it. ended reports whether the watch has ended.
func applyQueued(events watch.Interface, ev watch.Event, open bool, change func(watch.EventType, *unstructured.Unstructured) error) (ended bool, err error) {
	for n := 0; ; n++ {
		obj, ok := ev.Object.(*unstructured.Unstructured)
		if !open || !ok || ev.Type == watch.Error {
			return true, nil
		}
		if err := change(ev.Type, obj); err != nil {
			return false, err
		}
		if n == maxCoalesced || !nextQueued(events.ResultChan(), &ev, &open) {
			return false, nil
		}
	}
}

// nextQueued receives another event if there is one already.
func nextQueued(events <-chan watch.Event, ev *watch.Event, open *bool) bool {
	select {
	case *ev, *open = <-events:
		return true
	default:
		return false
	}
}

func apply(vms map[string]VM, change watch.EventType, obj *unstructured.Unstructured) error {
	if change == watch.Deleted {
		delete(vms, obj.GetName())
		return nil
	}
	vm, err := decode(obj)
	if err != nil {
		return Failed("read VM", obj.GetName(), err)
	}
	vms[obj.GetName()] = *vm
	return nil
}
