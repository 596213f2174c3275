package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/pkg/authconfig"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/docker"
	"rancherdesktop.io/rdd/internal/testenv"
)

func TestAPullReportsEachLayer(t *testing.T) {
	e := newFakeEngine(t)
	e.mux.HandleFunc("POST /v1.45/images/create", func(w http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query(); q.Get("fromImage") != "docker.io/library/nginx" || q.Get("tag") != "1.29" || q.Get("platform") != `linux/arm64` {
			t.Errorf("%v", q)
		}
		fmt.Fprint(w, `{"status":"Pulling from library/nginx","id":"1.29"}
{"status":"Pulling fs layer","progressDetail":{},"id":"a1"}
{"status":"Already exists","progressDetail":{},"id":"b2"}
{"status":"Downloading","progressDetail":{"current":10,"total":30},"progress":"[==>  ]","id":"a1"}
{"status":"Extracting","progressDetail":{"current":3,"units":"s"},"id":"a1"}
{"status":"Pull complete","progressDetail":{},"id":"a1"}
{"status":"Status: Downloaded newer image for nginx:1.29"}
`)
	})
	var s said
	if err := e.Pull(t.Context(), "nginx:1.29", "linux/arm64", s.report()); err != nil {
		t.Fatal(err)
	}
	s.want(t, "Pulling from library/nginx", "a1: Pulling fs layer 0/0", "b2: Already exists 0/0 done", "a1: Downloading 10/30", "a1: Extracting 0/0",
		"a1: Pull complete 0/0 done", "Status: Downloaded newer image for nginx:1.29")
}

// The engine has answered 200 before it knows that it fails.
func TestAnErrorInTheMiddleOfAnAnswerIsAnError(t *testing.T) {
	const failing = `{"status":"Waiting","id":"a1"}
{"errorDetail":{"message":"no space left on device"},"error":"no space left on device"}
`
	e := newFakeEngine(t)
	for _, path := range []string{"images/create", "images/{name}/push", "images/load", "build"} {
		e.mux.HandleFunc("POST /v1.45/"+path, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, failing)
		})
	}
	e.mux.HandleFunc("POST /v1.45/images/docker.io/library/a/push", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, failing) })
	write(t, e.home, "a.tar", "")
	write(t, e.home, "Dockerfile", "FROM scratch")
	_, loaded := e.Load(t.Context(), filepath.Join(e.home, "a.tar"), Report{})
	for what, err := range map[string]error{
		"pull image \"a\"": e.Pull(t.Context(), "a", "", Report{}), "push image \"a\"": e.Push(t.Context(), "a", Report{}), "load": loaded,
		"build": e.Build(t.Context(), BuildOptions{Folder: e.home}, Report{}),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), what) || !strings.HasSuffix(err.Error(), ": no space left on device") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestWhatTheEngineRefuses(t *testing.T) {
	e := newFakeEngine(t)
	e.mux.HandleFunc("POST /v1.45/images/create", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"message":"The container engine of RDD is stopped. Start it with: rdd start"}`)
	})
	err := e.Pull(t.Context(), "nginx", "", Report{})
	if err == nil || err.Error() != `pull image "nginx": The container engine of RDD is stopped. Start it with: rdd start` {
		t.Errorf("%v", err)
	}
	for _, name := range []string{"", "Nginx", "a b", "nginx:"} {
		if err := e.Pull(t.Context(), name, "", Report{}); core.KindOf(err) != core.Usage || !strings.Contains(err.Error(), "nginx:1.29") {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, platform := range []string{"arm64", "linux/", "a/b/c/d"} {
		if err := e.Pull(t.Context(), "nginx", platform, Report{}); core.KindOf(err) != core.Usage || !strings.Contains(err.Error(), "linux/arm64") {
			t.Errorf("%q: %v", platform, err)
		}
	}
	if err := e.Push(t.Context(), "a@sha256:"+strings.Repeat("0", 64), Report{}); core.KindOf(err) != core.Usage {
		t.Errorf("%v", err)
	}
}

func TestWithoutAServiceTheErrorSaysWhatToDo(t *testing.T) {
	c, home := newClient(t)
	write(t, home, "Dockerfile", "FROM scratch")
	_, pruned := c.Prune(t.Context(), Images, false)
	for _, err := range []error{c.Pull(t.Context(), "nginx", "", Report{}), c.Build(t.Context(), BuildOptions{Folder: home}, Report{}), pruned} {
		if err == nil || !strings.Contains(err.Error(), "rdd start") || strings.Contains(err.Error(), "http") {
			t.Errorf("%v", err)
		}
	}
}

func TestAnEngineThatStopsInTheMiddleIsNoSuccess(t *testing.T) {
	e := newFakeEngine(t)
	die := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprintln(w, `{"status":"Downloading","id":"a1"}`)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	for _, path := range []string{"POST /v1.45/images/create", "POST /v1.45/build", "POST /v1.45/images/load", "GET /v1.45/images/get"} {
		e.mux.HandleFunc(path, die)
	}
	write(t, e.home, "Dockerfile", "FROM scratch")
	archive := filepath.Join(e.home, "a.tar")
	saved := e.Save(t.Context(), []string{"a"}, archive, Report{})
	if _, err := os.Lstat(archive); err == nil {
		t.Error("half an archive is left")
	}
	write(t, e.home, "a.tar", "archive")
	_, loaded := e.Load(t.Context(), archive, Report{})
	for what, err := range map[string]error{
		"pull": e.Pull(t.Context(), "a", "", Report{}), "build": e.Build(t.Context(), BuildOptions{Folder: e.home}, Report{}), "load": loaded, "save": saved,
	} {
		if !errors.Is(err, docker.ErrLost) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The engine stops a pull when its connection closes.
func TestTheEndOfTheContextClosesTheConnection(t *testing.T) {
	e := newFakeEngine(t)
	begun, closed := make(chan struct{}, 4), make(chan struct{}, 4)
	hang := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, `{"status":"Waiting","id":"a1"}`)
		_ = http.NewResponseController(w).Flush()
		begun <- struct{}{}
		<-r.Context().Done()
		closed <- struct{}{}
	}
	e.mux.HandleFunc("POST /v1.45/images/create", hang)
	e.mux.HandleFunc("POST /v1.45/images/docker.io/library/a/push", hang)
	e.mux.HandleFunc("POST /v1.45/build", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		hang(w, r)
	})
	e.mux.HandleFunc("GET /v1.45/images/get", hang)
	write(t, e.home, "Dockerfile", "FROM scratch")
	for what, do := range map[string]func(context.Context) error{
		"pull":  func(ctx context.Context) error { return e.Pull(ctx, "a", "", Report{}) },
		"push":  func(ctx context.Context) error { return e.Push(ctx, "a", Report{}) },
		"build": func(ctx context.Context) error { return e.Build(ctx, BuildOptions{Folder: e.home}, Report{}) },
		"save": func(ctx context.Context) error {
			return e.Save(ctx, []string{"a"}, filepath.Join(e.home, "a.tar"), Report{})
		},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		result := make(chan error)
		go func() { result <- do(ctx) }()
		<-begun
		cause := errors.New("the user has had enough")
		cancel(cause)
		select {
		case err := <-result:
			if !errors.Is(err, cause) {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(testenv.Timeout):
			t.Fatalf("%s goes on", what)
		}
		select {
		case <-closed:
		case <-time.After(testenv.Timeout):
			t.Fatalf("%s: the engine does not notice", what)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(e.home, ".rdd-save-*")); len(left) > 0 {
		t.Errorf("%q is left", left)
	}
}

func TestSaveWritesAFileAndReplacesNone(t *testing.T) {
	e := newFakeEngine(t)
	e.mux.HandleFunc("GET /v1.45/images/get", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Query()["names"]) })
	path := filepath.Join(e.home, "two.tar")
	var s said
	if err := e.Save(t.Context(), []string{"a:1", "b:2"}, path, s.report()); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "[a:1 b:2]" {
		t.Errorf("%q, %v", text, err)
	}
	if len(s.lines) == 0 || s.lines[len(s.lines)-1] != "9/0" {
		t.Errorf("%q", s.lines)
	}
	for path, want := range map[string]string{path: "choose another name", "relative.tar": "absolute", filepath.Join(e.home, "no", "x"): "no such file"} {
		if err := e.Save(t.Context(), []string{"a:1"}, path, Report{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if text, _ := os.ReadFile(path); string(text) != "[a:1 b:2]" {
		t.Errorf("it was replaced: %q", text)
	}
}

func TestLoadSaysWhatWasLoaded(t *testing.T) {
	e := newFakeEngine(t)
	e.mux.HandleFunc("POST /v1.45/images/load", func(w http.ResponseWriter, r *http.Request) {
		if text, err := io.ReadAll(r.Body); err != nil || string(text) != "archive" {
			t.Errorf("%q, %v", text, err)
		}
		fmt.Fprint(w, `{"stream":"Loaded image: a:1\n"}`)
	})
	write(t, e.home, "a.tar", "archive")
	var s said
	loaded, err := e.Load(t.Context(), filepath.Join(e.home, "a.tar"), s.report())
	if err != nil || strings.Join(loaded, ",") != "Loaded image: a:1" || len(s.lines) == 0 || s.lines[0] != "7/7" {
		t.Errorf("%q, %v, %q", loaded, err, s.lines)
	}
	for path, want := range map[string]string{e.home: "not a file", "a.tar": "absolute", filepath.Join(e.home, "b.tar"): "no such file"} {
		if _, err := e.Load(t.Context(), path, Report{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestPrune(t *testing.T) {
	e := newFakeEngine(t)
	for path, answer := range map[string]string{
		"containers": `{"ContainersDeleted":["c1"],"SpaceReclaimed":1}`,
		"images":     `{"ImagesDeleted":[{"Untagged":"a:1"},{"Deleted":"sha256:b"}],"SpaceReclaimed":2}`,
		"volumes":    `{"VolumesDeleted":["v1"],"SpaceReclaimed":3}`,
		"networks":   `{"NetworksDeleted":["n1"]}`,
		"build":      `{"CachesDeleted":["x"],"SpaceReclaimed":5}`,
	} {
		e.mux.HandleFunc("POST /v1.45/"+path+"/prune", func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			w.Header().Set("Content-Type", "application/json")
			if q.Get("filters") == `{"dangling":{"false":true}}` || q.Get("filters") == `{"all":{"true":true}}` || q.Get("all") == "1" {
				answer = strings.ReplaceAll(answer, "1", "9")
			}
			fmt.Fprint(w, answer)
		})
	}
	for _, tc := range []struct {
		what      string
		all       bool
		deleted   string
		reclaimed int64
	}{
		{Containers, false, "[c1]", 1}, {Images, false, "[a:1 sha256:b]", 2}, {Volumes, false, "[v1]", 3}, {Networks, false, "[n1]", 0}, {BuildCache, false, "[x]", 5},
		{Images, true, "[a:9 sha256:b]", 2}, {Volumes, true, "[v9]", 3}, {Containers, true, "[c1]", 1},
	} {
		p, err := e.Prune(t.Context(), tc.what, tc.all)
		if err != nil || fmt.Sprint(p.Deleted) != tc.deleted || p.Reclaimed != tc.reclaimed {
			t.Errorf("%s, all %t: %+v, %v", tc.what, tc.all, p, err)
		}
	}
	if _, err := e.Prune(t.Context(), "everything", true); core.KindOf(err) != core.Usage || !strings.Contains(err.Error(), "buildCache") {
		t.Errorf("%v", err)
	}
}

// The user's credentials reach the engine in a header, and nothing else.
func TestThePullHasTheUsersCredentials(t *testing.T) {
	e := newFakeEngine(t)
	write(t, e.home, ".docker/config.json", `{"auths":{"registry.example.com":{"auth":"dXNlcjpzM2NyZXQ="},"other":{"auth":"%%%"}}}`)
	e.mux.HandleFunc("POST /v1.45/images/create", func(w http.ResponseWriter, r *http.Request) {
		auth, err := authconfig.Decode(r.Header.Get("X-Registry-Auth"))
		if err != nil || auth.Username != "user" || auth.Password != "s3cret" || auth.ServerAddress != "registry.example.com" {
			t.Errorf("%v", err)
		}
		fmt.Fprint(w, `{"errorDetail":{"message":"unauthorized"}}`)
	})
	var s said
	err := e.Pull(t.Context(), "registry.example.com/team/shop", "", s.report())
	if text := fmt.Sprint(err, s.lines, s.log.String()); err == nil || strings.Contains(text, "s3cret") || strings.Contains(text, "dXNlcjpzM2NyZXQ") {
		t.Error(text)
	}
}
