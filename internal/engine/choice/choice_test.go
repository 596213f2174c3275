package choice

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/engine/answers"
	"rancherdesktop.io/rdd/internal/engine/objects"
	"rancherdesktop.io/rdd/internal/testenv"
	"rancherdesktop.io/rdd/internal/view"
)

// fake is an engine that does nothing but run.
type fake struct {
	set     objects.Set
	name    string
	all     *atomic.Int32 // engines that run
	running atomic.Bool
	asked   atomic.Int32
}

func (f *fake) Run(ctx context.Context) error {
	f.all.Add(1)
	f.running.Store(true)
	<-ctx.Done()
	f.running.Store(false)
	f.all.Add(-1)
	return nil
}

func (f *fake) State() engine.State { return engine.State{Version: f.name} }

func (f *fake) Resources() []view.Resource {
	r := f.set
	ask := answers.Action(func(*http.Request, view.Object) error { f.asked.Add(1); return nil })
	r.Containers.Subresources = map[string]view.Subresource{"start": ask}
	if f.name == engine.Moby {
		r.Containers.Subresources["attach"] = ask
		r.Volumes.Delete = func(context.Context, view.Object, *metav1.DeleteOptions) error { f.asked.Add(1); return nil }
	}
	return r.All()
}

func TestOnlyTheChosenEngineRunsAndAnswers(t *testing.T) {
	var all, left atomic.Int32
	link, set := &engine.Link{}, objects.NewSet()
	moby, other := &fake{set: set, name: engine.Moby, all: &all}, &fake{set: set, name: engine.Containerd, all: &all}
	c := &Choice{Link: link, Engines: map[string]Engine{engine.Moby: moby, engine.Containerd: other}, Left: func() {
		if n := all.Load(); n != 0 {
			t.Errorf("%d engines run at the change", n)
		}
		left.Add(1)
	}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = c.Run(ctx) }()
	testenv.Eventually(t, "docker's engine runs before one is chosen", moby.running.Load)

	resources := map[string]view.Resource{}
	for _, r := range c.Resources(set) {
		resources[r.Name] = r
	}
	post := func(name string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		resources[v1alpha1.Containers].Subresources[name].Handler(&v1alpha1.Container{}).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
		return w
	}
	namespaceIsWide := func(resource string) bool {
		columns := resources[resource].Columns
		i := slices.IndexFunc(columns, func(c view.Column) bool { return c.Name == objects.Namespace })
		return columns[i].Wide()
	}
	if !namespaceIsWide(v1alpha1.Containers) || !namespaceIsWide(v1alpha1.Images) {
		t.Error("kubectl shows the namespaces of docker's objects, which have all the same")
	}
	if w := post("attach"); w.Code != http.StatusOK || moby.asked.Load() != 1 {
		t.Errorf("docker's engine was asked %d times: %d", moby.asked.Load(), w.Code)
	}
	link.Set(engine.Target{Phase: engine.Running, Engine: engine.Containerd})
	testenv.Eventually(t, "containerd runs", other.running.Load)
	if namespaceIsWide(v1alpha1.Containers) || namespaceIsWide(v1alpha1.Images) {
		t.Error("kubectl doesn't show containerd's namespaces")
	}
	if all.Load() != 1 || left.Load() != 1 || c.State().Version != engine.Containerd {
		t.Errorf("%d run, %d were left, the state is %s's", all.Load(), left.Load(), c.State().Version)
	}
	if w := post("start"); w.Code != http.StatusOK || other.asked.Load() != 1 {
		t.Errorf("containerd was asked %d times: %d", other.asked.Load(), w.Code)
	}
	if w := post("attach"); w.Code != http.StatusNotImplemented || !strings.Contains(w.Body.String(), "containerd can't do that") {
		t.Errorf("what containerd can't do: %d %s", w.Code, w.Body)
	}
	if err := resources[v1alpha1.Volumes].Delete(ctx, &v1alpha1.Volume{}, nil); err == nil || moby.asked.Load() != 1 {
		t.Errorf("containerd deletes volumes: %v", err)
	}
	link.Set(engine.Target{Reason: "The service is starting."}) // names none
	link.Set(engine.Target{Phase: engine.Starting, Engine: engine.Moby})
	testenv.Eventually(t, "docker's engine runs again", moby.running.Load)
	if left.Load() != 2 {
		t.Errorf("%d changes", left.Load())
	}
	cancel()
	<-ended
	if all.Load() != 0 || left.Load() != 2 {
		t.Errorf("at the end %d run, and there were %d changes", all.Load(), left.Load())
	}
}
