package wait

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

// server is one object and the watches on it, as a script: step n of it is played on the nth watch.
type server struct {
	state   string // "" when the object does not exist
	steps   []func(s *server, w *watch.FakeWatcher) error
	watches int
}

func object(state string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetName("vm")
	o.SetAnnotations(map[string]string{"state": state})
	return o
}

func (s *server) List(context.Context, metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	list := &unstructured.UnstructuredList{}
	if s.state != "" {
		list.Items = append(list.Items, *object(s.state))
	}
	return list, nil
}

func (s *server) Watch(context.Context, metav1.ListOptions) (watch.Interface, error) {
	w := watch.NewFakeWithChanSize(4, false)
	step := s.steps[min(s.watches, len(s.steps)-1)]
	s.watches++
	if err := step(s, w); err != nil {
		return nil, err
	}
	return w, nil
}

var errGone = errors.New("deleted while waiting")

func running(o *unstructured.Unstructured) (bool, error) {
	if o == nil {
		return false, errGone
	}
	return o.GetAnnotations()["state"] == "running", nil
}

// The steps.
func becomes(state string) func(*server, *watch.FakeWatcher) error {
	return func(s *server, w *watch.FakeWatcher) error { s.state = state; w.Modify(object(state)); return nil }
}
func deleted(s *server, w *watch.FakeWatcher) error {
	s.state = ""
	w.Delete(object("starting"))
	return nil
}
func drops(_ *server, w *watch.FakeWatcher) error { w.Stop(); return nil }
func dropsAndThen(state string) func(*server, *watch.FakeWatcher) error {
	return func(s *server, w *watch.FakeWatcher) error { s.state = state; w.Stop(); return nil }
}
func expired(*server, *watch.FakeWatcher) error { return apierrors.NewResourceExpired("too old") }
func breaks(_ *server, w *watch.FakeWatcher) error {
	w.Error(&metav1.Status{Reason: metav1.StatusReasonExpired})
	return nil
}
func hangs(*server, *watch.FakeWatcher) error { return nil }
func forbidden(*server, *watch.FakeWatcher) error {
	return apierrors.NewForbidden(schema.GroupResource{Resource: "vms"}, "vm", errors.New("no"))
}

func TestUntil(t *testing.T) {
	type steps = []func(*server, *watch.FakeWatcher) error
	for _, tc := range []struct {
		name  string
		steps steps
		check func(error) bool
	}{
		{"an event decides", steps{becomes("running")}, nil},
		{"deleted while watching", steps{deleted}, func(err error) bool { return errors.Is(err, errGone) }},
		{"the watch drops twice", steps{drops, drops, becomes("running")}, nil},
		{"the state is reached while the watch is down", steps{dropsAndThen("running")}, nil},
		{"deleted while the watch is down", steps{dropsAndThen("")}, func(err error) bool { return errors.Is(err, errGone) }},
		{"410 gone", steps{expired, becomes("running")}, nil},
		{"an error event", steps{breaks, becomes("running")}, nil},
		{"refused for good", steps{forbidden}, apierrors.IsForbidden},
		{"never", steps{hangs}, func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				err := Until(ctx, &server{state: "starting", steps: tc.steps}, "vm", running)
				if tc.check == nil && err != nil || tc.check != nil && !tc.check(err) {
					t.Fatal(err)
				}
			})
		})
	}
}

func TestUntilReturnsTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("the service process ended")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(why) })
		err := Until(ctx, &server{state: "starting", steps: []func(*server, *watch.FakeWatcher) error{hangs}}, "vm", running)
		if !errors.Is(err, why) {
			t.Fatal(err)
		}
	})
}
