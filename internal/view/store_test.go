package view_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/view"
)

func newStore() *view.Store {
	return view.New(view.Kind{
		New: func() view.Object { return &v1alpha1.Container{} },
		Fields: map[string]func(view.Object) string{
			"status.state": func(o view.Object) string { return string(status(o).State) },
		},
		Names: func(o view.Object) []string { return []string{status(o).Name} },
		ID:    func(o view.Object) string { return status(o).ID },
	})
}

func status(o view.Object) *v1alpha1.ContainerStatus { return &o.(*v1alpha1.Container).Status }

func container(id, name string, state v1alpha1.ContainerState) *v1alpha1.Container {
	return &v1alpha1.Container{
		ObjectMeta: metav1.ObjectMeta{Name: id, Labels: map[string]string{"state": string(state)}},
		Status:     v1alpha1.ContainerStatus{ID: id, Name: name, State: state},
	}
}

// told is what a watch told: type and name of each event.
func told(t *testing.T, w watch.Interface, n int) []string {
	t.Helper()
	var all []string
	for len(all) < n {
		e, open := <-w.ResultChan()
		if !open {
			t.Fatalf("the watch ended after %v", all)
		}
		line := string(e.Type)
		if o, ok := e.Object.(view.Object); ok {
			line += " " + o.GetName()
		}
		all = append(all, line)
	}
	return all
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReplaceTellsOnlyWhatDiffers(t *testing.T) {
	s := newStore()
	s.Apply(container("a", "web", v1alpha1.ContainerRunning))
	s.Apply(container("b", "db", v1alpha1.ContainerRunning))
	_, version := s.List(view.Selector{})
	w, err := s.Watch(t.Context(), view.WatchOptions{ResourceVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	s.Apply(container("a", "web", v1alpha1.ContainerRunning))
	s.Replace([]view.Object{container("a", "web", v1alpha1.ContainerExited), container("c", "new", v1alpha1.ContainerCreated)})
	s.Remove("unknown")
	s.Remove("c")
	want(t, told(t, w, 4), "DELETED b", "MODIFIED a", "ADDED c", "DELETED c")
	if objects, _ := s.List(view.Selector{}); len(objects) != 1 || objects[0].GetUID() == "" {
		t.Errorf("the list has %v", objects)
	}
}

func TestAnObjectThatWasMadeAnewIsAnotherOne(t *testing.T) {
	s := newStore()
	first, second := container("a", "web", v1alpha1.ContainerRunning), container("a", "web", v1alpha1.ContainerRunning)
	second.CreationTimestamp = metav1.NewTime(time.Unix(1000, 0))
	s.Apply(first)
	_, version := s.List(view.Selector{})
	s.Apply(second)
	w, err := s.Watch(t.Context(), view.WatchOptions{ResourceVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	want(t, told(t, w, 2), "DELETED a", "ADDED a")
}

func TestAWatchSeesOnlyWhatItSelects(t *testing.T) {
	for name, by := range map[string]view.Selector{
		"fields": {Fields: fields.OneTermEqualSelector("status.state", "running")},
		"labels": {Labels: labels.SelectorFromSet(labels.Set{"state": "running"})},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore()
			s.Apply(container("a", "web", v1alpha1.ContainerRunning))
			w, err := s.Watch(t.Context(), view.WatchOptions{Selector: by, Initial: true})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Stop()
			s.Apply(container("b", "db", v1alpha1.ContainerCreated))
			s.Apply(container("b", "db", v1alpha1.ContainerRunning))
			s.Apply(container("b", "database", v1alpha1.ContainerRunning))
			s.Apply(container("b", "database", v1alpha1.ContainerExited))
			s.Remove("b")
			s.Remove("a")
			want(t, told(t, w, 5), "ADDED a", "ADDED b", "MODIFIED b", "DELETED b", "DELETED a")
		})
	}
}

func TestNamesAndBeginningsOfIDs(t *testing.T) {
	s := newStore()
	s.Apply(container("abc1", "web", v1alpha1.ContainerRunning))
	s.Apply(container("abd2", "db", v1alpha1.ContainerRunning))
	for name, id := range map[string]string{"abc1": "abc1", "web": "abc1", "abd": "abd2"} {
		if o, err := s.Get(name); err != nil || o.GetName() != id {
			t.Errorf("%s is %v, %v", name, o, err)
		}
		objects, _ := s.List(view.Selector{Fields: fields.OneTermEqualSelector("metadata.name", name)})
		if len(objects) != 1 || objects[0].GetName() != id {
			t.Errorf("a list of %s is %v", name, objects)
		}
	}
	for _, name := range []string{"", "x", "abc12"} {
		if _, err := s.Get(name); !errors.Is(err, view.ErrNotFound) {
			t.Errorf("%q: %v", name, err)
		}
	}
	var ambiguous *view.AmbiguousError
	if _, err := s.Get("ab"); !errors.As(err, &ambiguous) || len(ambiguous.Names) != 2 {
		t.Errorf("ambiguous: %v", err)
	}
}

func TestAReasonEmptiesTheView(t *testing.T) {
	s := newStore()
	s.Apply(container("a", "web", v1alpha1.ContainerRunning))
	s.SetReason("stopped")
	if objects, _ := s.List(view.Selector{}); len(objects) != 0 || s.Reason() != "stopped" {
		t.Errorf("%v, %q", objects, s.Reason())
	}
	s.Replace([]view.Object{container("a", "web", v1alpha1.ContainerRunning)})
	if objects, _ := s.List(view.Selector{}); len(objects) != 1 || s.Reason() != "" {
		t.Errorf("%v, %q", objects, s.Reason())
	}
}

func TestInitialObjectsEndWithABookmark(t *testing.T) {
	s := newStore()
	s.Apply(container("a", "web", v1alpha1.ContainerRunning))
	_, version := s.List(view.Selector{})
	w, err := s.Watch(t.Context(), view.WatchOptions{Initial: true, Bookmarks: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	want(t, told(t, w, 1), "ADDED a")
	end := <-w.ResultChan()
	o, ok := end.Object.(view.Object)
	if end.Type != watch.Bookmark || !ok || o.GetResourceVersion() != version || o.GetAnnotations()[metav1.InitialEventsAnnotationKey] != "true" {
		t.Errorf("the end of the initial objects is %v %v, want version %s", end.Type, end.Object, version)
	}
}

func TestABookmarkFollowsAChangeThatIsNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		w, err := s.Watch(t.Context(), view.WatchOptions{Bookmarks: true, Selector: view.Selector{Fields: fields.OneTermEqualSelector("status.state", "running")}})
		if err != nil {
			t.Fatal(err)
		}
		s.Apply(container("a", "web", v1alpha1.ContainerExited))
		e := <-w.ResultChan() // the clock of the test runs while all wait
		_, version := s.List(view.Selector{})
		if o, ok := e.Object.(view.Object); e.Type != watch.Bookmark || !ok || o.GetResourceVersion() != version {
			t.Errorf("%v %v, want a bookmark of version %s", e.Type, e.Object, version)
		}
		w.Stop()
	})
}

func TestAVersionOfAnotherRunOrTooOldIsExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		earlier := newStore()
		for i := range 100 {
			earlier.Apply(container(strconv.Itoa(i), "web", v1alpha1.ContainerRunning))
		}
		_, old := earlier.List(view.Selector{})
		time.Sleep(time.Second)
		s := newStore()
		_, first := s.List(view.Selector{})
		s.Apply(container("a", "web", v1alpha1.ContainerRunning))
		_, now := s.List(view.Selector{})
		check := func(version string, expired bool) {
			t.Helper()
			w, err := s.Watch(t.Context(), view.WatchOptions{ResourceVersion: version})
			if apierrors.IsResourceExpired(err) != expired || err != nil && !expired {
				t.Errorf("version %s of %s..%s: %v", version, first, now, err)
			}
			if err == nil {
				w.Stop()
			}
		}
		check(old, true)
		check(first, false)
		check(now, false)
		check(now+"0", true)
		if err := s.CheckVersion(old); err != nil {
			t.Errorf("a list is newer than one of an earlier run: %v", err)
		}
		if err := s.CheckVersion(now + "0"); !apierrors.IsResourceExpired(err) {
			t.Errorf("a version that isn't yet: %v", err)
		}
		if _, err := s.Watch(t.Context(), view.WatchOptions{ResourceVersion: "one"}); !apierrors.IsBadRequest(err) {
			t.Errorf("no number: %v", err)
		}
		time.Sleep(time.Hour)
		s.Replace([]view.Object{container("a", "web", v1alpha1.ContainerRunning)}) // the resync
		check(now, false)
		check(first, true)
	})
}

func TestObjectsThatAreGoneAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		s.Apply(container("a", "web", v1alpha1.ContainerRunning))
		_, version := s.List(view.Selector{})
		s.SetReason("stopped")
		time.Sleep(10 * time.Minute) // nothing happens
		if _, err := s.Watch(t.Context(), view.WatchOptions{ResourceVersion: version}); !apierrors.IsResourceExpired(err) {
			t.Errorf("the events are still there: %v", err)
		}
	})
}

func TestASlowWatcherIsDroppedAndBlocksNobody(t *testing.T) {
	s := newStore()
	slow, err := s.Watch(t.Context(), view.WatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10_000 {
		s.Apply(container("a", strconv.Itoa(i), v1alpha1.ContainerRunning))
	}
	var last watch.Event
	for e := range slow.ResultChan() {
		last = e
	}
	err = apierrors.FromObject(last.Object)
	if last.Type != watch.Error || !apierrors.IsResourceExpired(err) {
		t.Errorf("the last event is %v: %v", last.Type, err)
	}
}

func TestAWatchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w, err := newStore().Watch(ctx, view.WatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if e, open := <-w.ResultChan(); open {
		t.Errorf("got %v", e)
	}
}

// In a storm of changes, each watcher that keeps up ends with exactly what the store has, and each of the others is told
// to list again, with which it ends so, too.
func TestStorm(t *testing.T) {
	s := newStore()
	var watchers sync.WaitGroup
	for i := range 20 {
		watchers.Go(func() { follow(t, s, i%4 == 0, "end") })
	}
	random := rand.New(rand.NewPCG(1, 2))
	states := []v1alpha1.ContainerState{v1alpha1.ContainerRunning, v1alpha1.ContainerExited, v1alpha1.ContainerPaused}
	some := func() *v1alpha1.Container {
		id := strconv.Itoa(random.IntN(300))
		return container(id, "name-"+id, states[random.IntN(len(states))])
	}
	for range 10_000 {
		switch n := random.IntN(1000); {
		case n < 2:
			all := map[string]view.Object{}
			for range random.IntN(200) {
				o := some()
				all[o.Name] = o
			}
			var list []view.Object
			for _, o := range all {
				list = append(list, o)
			}
			s.Replace(list)
		case n < 400:
			s.Remove(strconv.Itoa(random.IntN(300)))
		default:
			s.Apply(some())
		}
	}
	s.Apply(container("end", "end", v1alpha1.ContainerExited))
	watchers.Wait()
}

// follow lists and watches until it sees the object last, and compares. A slow one reads nothing for a while.
func follow(t *testing.T, s *view.Store, slow bool, last string) {
	seen := map[string]string{}
	for seen[last] == "" {
		clear(seen)
		objects, version := s.List(view.Selector{})
		for _, o := range objects {
			seen[o.GetName()] = o.GetResourceVersion()
		}
		w, err := s.Watch(context.Background(), view.WatchOptions{ResourceVersion: version})
		if err != nil {
			continue // the version is too old already
		}
		if slow {
			idle(s, version, last)
			slow = false
		}
		if !read(t, w, seen, last) {
			continue
		}
		objects, _ = s.List(view.Selector{})
		if len(objects) != len(seen) {
			t.Errorf("saw %d objects, the store has %d", len(seen), len(objects))
		}
		for _, o := range objects {
			if seen[o.GetName()] != o.GetResourceVersion() {
				t.Errorf("saw %s at %q, the store has %q", o.GetName(), seen[o.GetName()], o.GetResourceVersion())
			}
		}
	}
}

// idle returns when the writer has gone on by more than is kept, or is done.
func idle(s *view.Store, version, last string) {
	for {
		w, err := s.Watch(context.Background(), view.WatchOptions{ResourceVersion: version})
		if err != nil {
			return
		}
		w.Stop()
		if _, err := s.Get(last); err == nil {
			return
		}
	}
}

// read keeps what a watch tells, until it tells the last object.
func read(t *testing.T, w watch.Interface, seen map[string]string, last string) (complete bool) {
	defer w.Stop()
	for seen[last] == "" {
		e, open := <-w.ResultChan()
		if !open {
			t.Error("the watch ended without an error")
			return true
		}
		if e.Type == watch.Error {
			if err := apierrors.FromObject(e.Object); !apierrors.IsResourceExpired(err) {
				t.Error(err)
			}
			clear(seen)
			return false
		}
		o := e.Object.(view.Object) //nolint:forcetypeassert // of the store
		_, known := seen[o.GetName()]
		if known == (e.Type == watch.Added) {
			t.Errorf("%s of %s, which was known: %v", e.Type, o.GetName(), known)
		}
		if seen[o.GetName()] = o.GetResourceVersion(); e.Type == watch.Deleted {
			delete(seen, o.GetName())
		}
	}
	return true
}
