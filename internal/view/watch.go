package view

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

const (
	// bookmarkDelay is how long after a change that a watch doesn't show a bookmark tells its resource version.
	bookmarkDelay = time.Minute
	// batchSize is how many events a watch reads at once.
	batchSize = 32
)

// WatchOptions say what to watch.
type WatchOptions struct {
	Selector
	// ResourceVersion to watch from. "" and "0" stand for now.
	ResourceVersion string
	// Initial sends the objects there are as Added first.
	Initial bool
	// Bookmarks sends one after the initial objects, and later now and then.
	Bookmarks bool
}

// Watch returns the changes since a resource version, until ctx ends or Stop is called. A watcher that can't keep up
// gets the error 410 Expired as its last event. The objects are its own, but what they refer to is shared. Returned
// errors are an apierrors.APIStatus: 410 Expired for a resource version that is too old or of another run.
func (s *Store) Watch(ctx context.Context, o WatchOptions) (watch.Interface, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &watcher{store: s, by: s.resolved(o.Selector), bookmarks: o.Bookmarks, results: make(chan watch.Event, batchSize), stopped: make(chan struct{})}
	if o.ResourceVersion == "" || o.ResourceVersion == "0" {
		w.read = s.version
	} else {
		from, err := s.resume(o.ResourceVersion)
		if err != nil {
			return nil, err
		}
		w.read = from
	}
	if o.Initial {
		w.read = s.version
		w.initial = make([]Object, 0, len(s.objects))
		for _, object := range s.objects {
			if s.selects(w.by, object) {
				w.initial = append(w.initial, object)
			}
		}
	}
	w.told = w.read
	go w.run(ctx)
	return w, nil
}

// CheckVersion says whether a list of now is at least as new as a resource version. The error is an apierrors.APIStatus.
func (s *Store) CheckVersion(resourceVersion string) error {
	if resourceVersion == "" || resourceVersion == "0" {
		return nil
	}
	version, err := parse(resourceVersion)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if version > s.version {
		return expired(resourceVersion)
	}
	return nil
}

// resume returns the version to go on from, if all events since are still there.
func (s *Store) resume(resourceVersion string) (uint64, error) {
	version, err := parse(resourceVersion)
	if err == nil && (version < s.dropped || version > s.version) {
		err = expired(resourceVersion)
	}
	return version, err
}

func parse(resourceVersion string) (uint64, error) {
	version, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return 0, apierrors.NewBadRequest(fmt.Sprintf("invalid resource version %q: it must be a number that a list or a watch gave", resourceVersion))
	}
	return version, nil
}

func expired(resourceVersion string) *apierrors.StatusError {
	return apierrors.NewResourceExpired(fmt.Sprintf("resource version %s is too old, or of an earlier run of the service: list again", resourceVersion))
}

// after returns events after a version, or else a channel that is closed when there are some; fresh is false if some
// of them have been forgotten.
func (s *Store) after(version uint64, into []event) (events []event, changed <-chan struct{}, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if version < s.dropped {
		return nil, nil, false
	}
	into = append(into, s.events[version-s.dropped:][:min(batchSize, s.version-version)]...)
	if len(into) > 0 {
		return into, nil, true
	}
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return nil, s.changed, true
}

// watcher reads the store's events at its own speed.
type watcher struct {
	store     *Store
	by        Selector
	bookmarks bool
	initial   []Object // not sent yet
	read      uint64   // version up to which it has read
	told      uint64   // version up to which the reader knows

	results chan watch.Event
	stopped chan struct{}
	stop    sync.Once
}

// ResultChan returns the events. It is closed at the end.
func (w *watcher) ResultChan() <-chan watch.Event { return w.results }

// Stop ends the watch.
func (w *watcher) Stop() { w.stop.Do(func() { close(w.stopped) }) }

func (w *watcher) run(ctx context.Context) {
	defer close(w.results)
	if !w.begin(ctx) {
		return
	}
	remind := time.NewTimer(bookmarkDelay)
	defer remind.Stop()
	remind.Stop()
	var batch []event
	for {
		events, changed, fresh := w.store.after(w.read, batch[:0])
		if !fresh {
			w.send(ctx, watch.Event{Type: watch.Error, Object: statusOf(expired(format(w.read)))})
			return
		}
		for _, e := range events {
			w.read++
			if !w.tell(ctx, e) {
				return
			}
		}
		if len(events) > 0 {
			batch = events
			clear(batch) // so that a watch holds no objects
			continue
		}
		if w.bookmarks && w.read > w.told {
			remind.Reset(bookmarkDelay)
		}
		select {
		case <-changed:
		case <-remind.C:
			if !w.bookmark(ctx, false) {
				return
			}
		case <-w.stopped:
			return
		case <-ctx.Done():
			return
		}
	}
}

// begin sends the initial objects.
func (w *watcher) begin(ctx context.Context) bool {
	if w.initial == nil {
		return true
	}
	for _, o := range w.initial {
		if !w.send(ctx, watch.Event{Type: watch.Added, Object: shallow(o)}) {
			return false
		}
	}
	w.initial = nil
	return !w.bookmarks || w.bookmark(ctx, true)
}

// tell sends an event as it looks to who sees only the selected objects.
func (w *watcher) tell(ctx context.Context, e event) bool {
	was, is := w.store.selects(w.by, e.was), w.store.selects(w.by, e.is)
	var told watch.Event
	switch {
	case is && !was:
		told = watch.Event{Type: watch.Added, Object: shallow(e.is)}
	case is:
		told = watch.Event{Type: watch.Modified, Object: shallow(e.is)}
	case was:
		gone := shallow(e.was)
		gone.SetResourceVersion(format(w.read))
		told = watch.Event{Type: watch.Deleted, Object: gone}
	default:
		return true
	}
	w.told = w.read
	return w.send(ctx, told)
}

// bookmark tells the resource version up to which the reader knows all.
func (w *watcher) bookmark(ctx context.Context, initial bool) bool {
	w.told = w.read
	o := w.store.kind.New()
	o.SetResourceVersion(format(w.read))
	if initial {
		o.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	}
	return w.send(ctx, watch.Event{Type: watch.Bookmark, Object: o})
}

func (w *watcher) send(ctx context.Context, e watch.Event) bool {
	select {
	case w.results <- e:
		return true
	case <-w.stopped:
		return false
	case <-ctx.Done():
		return false
	}
}

func statusOf(err *apierrors.StatusError) *metav1.Status {
	status := err.Status()
	return &status
}
