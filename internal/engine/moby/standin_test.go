package moby

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/network"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/engine/enginetest"
	"rancherdesktop.io/rdd/internal/engine/objects"
	"rancherdesktop.io/rdd/internal/testenv"
	"rancherdesktop.io/rdd/internal/view"
)

// standIn answers as an engine does, and makes mistakes that a real one makes only now and then.
type standIn struct {
	t      *testing.T
	socket string

	mu         sync.Mutex
	containers map[string]container.ContainerState
	stuck      map[string]bool // inspect does not answer for these
	image      string          // of all containers
	images     []image.Summary
	refuse     int // so many lists of images are refused
	clock      time.Time
	since      []string // of the event streams
	events     chan string
	lists      int // of containers
	inspects   int
}

func newStandIn(t *testing.T) *standIn {
	t.Helper()
	dir, err := os.MkdirTemp("", "moby") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &standIn{
		t: t, socket: filepath.Join(dir, "s"), containers: map[string]container.ContainerState{}, stuck: map[string]bool{},
		events: make(chan string, 10_000), clock: time.Now(),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.45") })
	mux.HandleFunc("/v1.45/info", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		reply(w, map[string]string{"ServerVersion": "26.1.5", "SystemTime": s.clock.Format(time.RFC3339Nano)})
	})
	mux.HandleFunc("/v1.45/events", s.serveEvents)
	mux.HandleFunc("/v1.45/containers/json", s.serveList)
	mux.HandleFunc("/v1.45/containers/{id}/json", s.serveInspect)
	mux.HandleFunc("/v1.45/images/json", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.refuse > 0 {
			s.refuse--
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			reply(w, map[string]string{"message": "layer does not exist"})
			return
		}
		reply(w, s.images)
	})
	mux.HandleFunc("/v1.45/volumes", func(w http.ResponseWriter, _ *http.Request) { reply(w, map[string]any{"Volumes": nil}) })
	mux.HandleFunc("/v1.45/networks", func(w http.ResponseWriter, _ *http.Request) { reply(w, []network.Summary{}) })
	server := httptest.NewUnstartedServer(mux)
	_ = server.Listener.Close()
	if server.Listener, err = net.Listen("unix", s.socket); err != nil {
		t.Fatal(err)
	}
	server.Start()
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return s
}

func reply(w http.ResponseWriter, what any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(what)
}

func (s *standIn) serveEvents(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.since = append(s.since, r.URL.Query().Get("since"))
	s.mu.Unlock()
	_ = http.NewResponseController(w).Flush()
	for {
		select {
		case e := <-s.events:
			_, _ = w.Write([]byte(e))
			_ = http.NewResponseController(w).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func (s *standIn) serveList(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	filter := r.URL.Query().Get("filters")
	if filter == "" {
		s.lists++
	}
	list := []container.Summary{}
	for id, state := range s.containers {
		if filter == "" || strings.Contains(filter, id) {
			list = append(list, container.Summary{ID: id, Names: []string{"/" + id}, State: state, Status: string(state) + " for a while", Image: "img", Command: "cmd"})
		}
	}
	reply(w, list)
}

func (s *standIn) serveInspect(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	s.mu.Lock()
	state, there := s.containers[id]
	stuck := s.stuck[id]
	s.mu.Unlock()
	if stuck {
		<-r.Context().Done()
		return
	}
	if !there {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		reply(w, map[string]string{"message": "No such container: " + id})
		return
	}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.inspects++
	}()
	reply(w, container.InspectResponse{
		ID: id, Name: "/" + id, Path: "cmd", Image: s.image, Config: &container.Config{Image: "img"}, State: &container.State{Status: state},
	})
}

// set changes a container, and tells the event unless that is empty.
func (s *standIn) set(id string, state container.ContainerState, event string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == "" {
		delete(s.containers, id)
	} else {
		s.containers[id] = state
	}
	if event != "" {
		s.tell("container", event, id)
	}
}

func (s *standIn) tell(kind, action, id string) {
	s.events <- fmt.Sprintf(`{"Type":%q,"Action":%q,"Actor":{"ID":%q}}`+"\n", kind, action, id)
}

// startEngine runs an Engine that reaches a docker socket through the guest.
func startEngine(t *testing.T, socket string, change func(*Engine)) (*Engine, *enginetest.Guest) {
	t.Helper()
	g := enginetest.NewGuest(t, socket)
	e := New(g.Options(t, engine.Moby), objects.NewSet())
	if change != nil {
		change(e)
	}
	enginetest.Run(t, e)
	return e, g
}

// connectedEngine is one that shows what a docker engine has.
func connectedEngine(t *testing.T, socket string, change func(*Engine)) (*Engine, *enginetest.Guest) {
	t.Helper()
	e, g := startEngine(t, socket, change)
	testenv.Eventually(t, "the engine answers", func() bool { return e.State().Answers })
	return e, g
}

// shown returns the containers of the view by name.
func shown(e *Engine) map[string]v1alpha1.ContainerStatus {
	all := map[string]v1alpha1.ContainerStatus{}
	list, _ := e.resources.Containers.Store.List(view.Selector{})
	for _, o := range list {
		s := o.(*v1alpha1.Container).Status
		all[s.Name] = s
	}
	return all
}

// patient never reads again by itself, so that only what is tested can help.
func patient(e *Engine) { e.Resync = time.Hour }

func shows(t *testing.T, e *Engine, id string, state v1alpha1.ContainerState) {
	t.Helper()
	testenv.Eventually(t, fmt.Sprintf("%s is shown as %q", id, state), func() bool { return shown(e)[id].State == state })
}

func TestAnEventThatTheEngineDropsHealsByTheResync(t *testing.T) {
	s := newStandIn(t)
	s.set("one", container.StateRunning, "")
	s.set("two", container.StateRunning, "")
	e, _ := connectedEngine(t, s.socket, func(e *Engine) { e.Resync = 10 * time.Millisecond })
	shows(t, e, "one", v1alpha1.ContainerRunning)
	s.set("one", container.StateExited, "")
	s.set("two", "", "")
	s.set("three", container.StateCreated, "")
	shows(t, e, "one", v1alpha1.ContainerExited)
	shows(t, e, "two", "")
	shows(t, e, "three", v1alpha1.ContainerCreated)
}

func TestAnEventIsEnough(t *testing.T) {
	s := newStandIn(t)
	e, _ := connectedEngine(t, s.socket, patient)
	s.set("one", container.StateRunning, "start")
	shows(t, e, "one", v1alpha1.ContainerRunning)
	s.set("one", container.StateRunning, "health_status: healthy")
	s.set("one", "", "destroy")
	shows(t, e, "one", "")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lists != 1 {
		t.Errorf("containers were listed %d times", s.lists)
	}
}

// The engine keeps 256 events, and drops those of a reader that is too slow.
func TestEventsThatABurstLosesHealWithoutTheResync(t *testing.T) {
	s := newStandIn(t)
	e, _ := connectedEngine(t, s.socket, patient)
	s.set("lost", container.StateRunning, "")
	for range 2 * burst {
		s.set("loud", container.StateRunning, "start")
	}
	shows(t, e, "lost", v1alpha1.ContainerRunning)
}

func TestAPauseThatIsToldBeforeItHappensIsShown(t *testing.T) {
	s := newStandIn(t)
	s.set("one", container.StateRunning, "")
	e, _ := connectedEngine(t, s.socket, func(e *Engine) { e.Resync, e.Paused = time.Hour, time.Second })
	s.mu.Lock()
	s.inspects = 0
	s.tell("container", "pause", "one")
	s.mu.Unlock()
	testenv.Eventually(t, "the container is read", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.inspects > 0 })
	s.set("one", container.StatePaused, "")
	shows(t, e, "one", v1alpha1.ContainerPaused)
}

func TestEventsAreAskedForSinceTheEnginesOwnClock(t *testing.T) {
	s := newStandIn(t)
	s.clock = time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)
	e, g := connectedEngine(t, s.socket, patient)
	s.mu.Lock()
	since := slices.Clone(s.since)
	s.clock = s.clock.AddDate(-1, 0, 0) // a guest whose clock was set back
	s.mu.Unlock()
	if len(since) != 1 || !slices.Equal(since, []string{"981173106.000000007"}) {
		t.Errorf("since %q", since)
	}
	session, err := e.Current()
	if err != nil || session.skew > -20*365*24*time.Hour {
		t.Errorf("skew %v, %v", session.skew, err)
	}
	g.Cut(false)
	testenv.Eventually(t, "it connects again", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.since) == 2 })
	if s.since[1] != "949550706.000000007" {
		t.Errorf("since %q", s.since)
	}
}

func TestAContainerThatDoesNotAnswerHoldsUpNoOther(t *testing.T) {
	s := newStandIn(t)
	s.set("stuck", container.StateRunning, "")
	e, _ := connectedEngine(t, s.socket, func(e *Engine) { e.Resync, e.Read = time.Hour, time.Hour })
	s.mu.Lock()
	s.stuck["stuck"] = true
	s.mu.Unlock()
	s.set("stuck", container.StateExited, "die")
	s.set("other", container.StateRunning, "start")
	shows(t, e, "other", v1alpha1.ContainerRunning)
}

func TestAContainerThatDoesNotAnswerIsShownFromTheList(t *testing.T) {
	s := newStandIn(t)
	s.set("stuck", container.StateRunning, "")
	s.stuck["stuck"] = true
	e, _ := connectedEngine(t, s.socket, func(e *Engine) { e.Resync, e.Read, e.MaxRetry = time.Hour, 10*time.Millisecond, 10*time.Millisecond })
	shows(t, e, "stuck", v1alpha1.ContainerRunning)
	s.mu.Lock()
	s.stuck["stuck"] = false
	s.containers["stuck"] = container.StateExited
	s.mu.Unlock()
	shows(t, e, "stuck", v1alpha1.ContainerExited) // read once more, without an event
}

func TestAReadThatFailsIsTriedAgain(t *testing.T) {
	s := newStandIn(t)
	s.refuse = 2
	s.images = []image.Summary{{ID: "sha256:1", RepoTags: []string{"a:1", "b:1"}}, {ID: "sha256:2", RepoTags: []string{"<none>:<none>"}}}
	e, _ := connectedEngine(t, s.socket, func(e *Engine) { e.Resync, e.FirstRetry = time.Hour, time.Millisecond })
	testenv.Eventually(t, "the images are shown", func() bool {
		list, _ := e.resources.Images.Store.List(view.Selector{})
		return len(list) == 3
	})
}

func TestAnImageThatAContainerNamesIsLookedFor(t *testing.T) {
	s := newStandIn(t)
	e, _ := connectedEngine(t, s.socket, patient)
	s.mu.Lock()
	s.image, s.images = "sha256:built", []image.Summary{{ID: "sha256:built"}} // a build without a tag has no event
	s.mu.Unlock()
	s.set("one", container.StateRunning, "start")
	testenv.Eventually(t, "the image is shown, with its user", func() bool {
		list, _ := e.resources.Images.Store.List(view.Selector{})
		return len(list) == 1 && slices.Equal(list[0].(*v1alpha1.Image).Status.Containers, []string{"one"})
	})
}
