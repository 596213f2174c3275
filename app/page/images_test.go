package page

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/app/operation"
	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/diagnose"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/testenv"
)

// imagePage is a page over an engine that knows only what the test makes it know.
type imagePage struct {
	*testing.T
	api    *API
	core   *core.Core
	home   string
	engine *http.ServeMux
}

func newImagePage(t *testing.T) *imagePage {
	t.Helper()
	home, err := os.MkdirTemp("", "ri") // short, because a socket lives below it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	t.Setenv("PATH", home) // no docker
	for _, dir := range []string{"default", ".docker"} {
		if err := os.Mkdir(filepath.Join(home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	inst := instance.At(home, "default", home)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", inst.DockerSocket())
	if err != nil {
		t.Skipf("the engine has no unix socket here: %v", err)
	}
	p := &imagePage{T: t, core: core.New(inst, "test"), home: home, engine: http.NewServeMux()}
	p.engine.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.45") })
	p.engine.HandleFunc("GET /v1.45/version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") })
	server := &http.Server{Handler: p.engine}
	go func() { _ = server.Serve(listener) }()
	p.api = New(Options{Core: p.core, Version: "test"})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		p.api.Run(ctx)
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		_ = server.Close()
	})
	return p
}

// begin calls a method that begins an operation, and returns the operation's ID.
func (p *imagePage) begin(method, params string) string {
	p.Helper()
	var ref Ref
	p.call(method, params, &ref)
	return ref.Operation
}

func (p *imagePage) call(method, params string, to any) {
	p.Helper()
	b, problem := p.api.Call(p.Context(), method, []byte(params))
	if problem != nil {
		p.Fatalf("%s: %+v", method, problem)
	}
	if err := json.Unmarshal(b, to); err != nil {
		p.Fatal(err)
	}
}

// becomes waits until an operation has a state.
func (p *imagePage) becomes(id string, state operation.State) (o operation.Operation) {
	p.Helper()
	testenv.Eventually(p, fmt.Sprintf("operation %s is %s", id, state), func() bool {
		for _, o = range p.api.State().Operations {
			if o.ID == id {
				return o.State == state
			}
		}
		return false
	})
	return o
}

func (p *imagePage) write(name, text string) {
	p.Helper()
	if err := os.WriteFile(filepath.Join(p.home, name), []byte(text), 0o600); err != nil {
		p.Fatal(err)
	}
}

// A password of the user reaches the engine, and is in nothing that the page or a bundle shows.
func TestAPullAtThePageKeepsThePasswordForTheEngine(t *testing.T) {
	p := newImagePage(t)
	p.write(".docker/config.json", `{"auths":{"registry.example.com":{"auth":"dXNlcjpzM2NyZXQ="}}}`)
	authorized := make(chan bool, 1)
	p.engine.HandleFunc("POST /v1.45/images/create", func(w http.ResponseWriter, r *http.Request) {
		authorized <- r.Header.Get("X-Registry-Auth") != ""
		fmt.Fprintln(w, `{"id":"a1","status":"Downloading","progressDetail":{"current":1,"total":2}}`)
		fmt.Fprintln(w, `{"errorDetail":{"message":"denied: no access to team/shop"}}`)
	})
	o := p.becomes(p.begin("image.pull", `{"reference":"registry.example.com/team/shop:1"}`), operation.Failed)
	if !<-authorized {
		t.Error("the engine got no credentials")
	}
	if want := `pull image "registry.example.com/team/shop:1": denied: no access to team/shop`; o.Problem.Message != want || o.Problem.Log != "" {
		t.Errorf("%+v", o.Problem)
	}
	if len(o.Progress.Parts) != 1 || o.Progress.Parts[0].Total != 2 {
		t.Errorf("%+v", o.Progress)
	}
	report, err := diagnose.Run(t.Context(), p.core)
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := diagnose.NewBundle(t.Context(), p.core, report)
	if err != nil {
		t.Fatal(err)
	}
	state, err := json.Marshal(p.api.State())
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{"the state": string(state)}
	for _, f := range bundle.Files {
		shown[f.Name], _ = bundle.Text(f.Name)
	}
	for where, text := range shown {
		if strings.Contains(text, "s3cret") || strings.Contains(text, "dXNlcjpzM2NyZXQ") {
			t.Errorf("%s has the password", where)
		}
	}
}

func TestABuildAtThePageShowsItsLogAndCanBeCanceled(t *testing.T) {
	p := newImagePage(t)
	p.write("Dockerfile", "FROM scratch\n")
	closed := make(chan struct{})
	p.engine.HandleFunc("POST /v1.45/build", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprintln(w, `{"stream":"Step 1/1 : FROM scratch\n"}`)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(closed)
	})
	id := p.begin("image.build", fmt.Sprintf(`{"folder":%q,"tag":"shop:1"}`, p.home))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	text, events := "", make(chan Event)
	go func() {
		defer close(events)
		for e := range p.api.Events(ctx) {
			select {
			case events <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	var stream StreamRef
	p.call("log.open", fmt.Sprintf(`{"source":"operation","operation":%q}`, id), &stream)
	for e := range events {
		if s, ok := partOf(t, e); ok && s.ID == stream.Stream {
			text += s.Data
		}
		if strings.Contains(text, "Step 1/1 : FROM scratch\n") {
			break
		}
	}
	var undo Undo
	p.call("operation.cancel", fmt.Sprintf(`{"id":%q}`, id), &undo)
	<-closed
	p.becomes(id, operation.Canceled)
	if undo.Operation != "" {
		t.Errorf("another operation was begun: %+v", undo)
	}
}

func TestAPruneAtThePageSaysWhatIsGone(t *testing.T) {
	p := newImagePage(t)
	p.engine.HandleFunc("POST /v1.45/images/prune", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"ImagesDeleted":[{"Untagged":"a:1"}],"SpaceReclaimed":1048576}`)
	})
	o := p.becomes(p.begin("prune", `{"what":"images","all":true}`), operation.Done)
	if o.Result == nil || o.Result.Message != "1 deleted. 1 MiB freed." || fmt.Sprint(o.Result.Items) != "[a:1]" {
		t.Errorf("%+v", o.Result)
	}
	if _, problem := p.api.Call(t.Context(), "prune", []byte(`{"what":"everything"}`)); problem == nil || problem.Field != "what" {
		t.Errorf("%+v", problem)
	}
}

// Docker's answer was shown above the form, as a failure of RDD.
func TestABadNameOfAVolumeOrANetworkIsShownBesideItsField(t *testing.T) {
	p := newImagePage(t)
	refuse := func(path string, status int, message string) {
		p.engine.HandleFunc("POST /v1.45"+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"message": %q}`, message)
		})
	}
	refuse("/volumes/create", http.StatusBadRequest, "no good")
	refuse("/networks/create", http.StatusConflict, "exists")
	for _, tc := range []struct{ method, params, kind, field, message string }{
		{"volume.create", `{"name": "a b"}`, "usage", "name", "no good"},
		{"network.create", `{"name": "web"}`, "rejected", "name", "exists"},
	} {
		_, problem := p.api.Call(t.Context(), tc.method, []byte(tc.params))
		if problem == nil || problem.Kind != tc.kind || problem.Field != tc.field || problem.Message != tc.message {
			t.Errorf("%s: %+v", tc.method, problem)
		}
	}
}
