package image

import (
	"archive/tar"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/registry"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/testenv"
)

func TestWhatCanNotBeBuiltIsSaidAtOnce(t *testing.T) {
	c, home := newClient(t)
	write(t, home, "file", "")
	for want, o := range map[string]BuildOptions{
		"absolute path":                {Folder: "here"},
		"can't be read: no such file":  {Folder: filepath.Join(home, "no")},
		"file is not a folder":         {Folder: filepath.Join(home, "file")},
		"there is no Dockerfile in /":  {Folder: home},
		"there is no other.docker in ": {Folder: home, Dockerfile: "other.docker"},
		"must be in the folder":        {Folder: home, Dockerfile: "../Dockerfile"},
		"bin is a folder":              {Folder: home, Dockerfile: "bin"},
		`"A=B" is not a name`:          {Folder: home, Dockerfile: "file", Args: map[string]string{"A=B": ""}},
		"such as nginx:1.29":           {Folder: home, Dockerfile: "file", Tag: "Upper"},
	} {
		if err := c.Build(t.Context(), o, Report{}); core.KindOf(err) != core.Usage || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestTheOldBuilderGetsTheFolder(t *testing.T) {
	e := newFakeEngine(t)
	folder := filepath.Join(e.home, "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"Dockerfile": "FROM scratch", ".dockerignore": "*.log\nDockerfile\n", "a.txt": "a", "b.log": "b"} {
		write(t, folder, name, text)
	}
	write(t, e.home, ".docker/config.json", `{"auths":{"registry.example.com":{"auth":"dXNlcjpzM2NyZXQ="},"bad":{"auth":"%"}}}`)
	e.mux.HandleFunc("POST /v1.45/build", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("t") != "shop:2" || q.Get("target") != "app" || q.Get("buildargs") != `{"A":"1"}` || q.Get("nocache") != "1" || q.Get("pull") != "1" || q.Get("dockerfile") != "Dockerfile" {
			t.Errorf("%v", q)
		}
		var auths map[string]registry.AuthConfig
		text, err := base64.URLEncoding.DecodeString(r.Header.Get("X-Registry-Config"))
		if err := errors.Join(err, json.Unmarshal(text, &auths)); err != nil || auths["registry.example.com"].Password != "s3cret" {
			t.Errorf("no credentials: %v", err)
		}
		var names []string
		for files := tar.NewReader(r.Body); ; {
			h, err := files.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Error(err)
				break
			}
			names = append(names, h.Name)
		}
		if fmt.Sprint(names) != "[.dockerignore Dockerfile a.txt]" {
			t.Errorf("%q", names)
		}
		fmt.Fprint(w, `{"stream":"Step 1/2 : FROM scratch\n"}
{"stream":" ---\u003e \n"}
{"stream":"Step 2/2 : COPY a.txt /\n"}
{"aux":{"ID":"sha256:1"}}
{"stream":"Successfully tagged shop:2\n"}
`)
	})
	var s said
	o := BuildOptions{Folder: folder, Tag: "shop:2", Target: "app", Args: map[string]string{"A": "1"}, NoCache: true, Pull: true}
	if err := e.Build(t.Context(), o, s.report()); err != nil {
		t.Fatal(err)
	}
	s.want(t, "Step 1/2: Running 0/0", "Step 1/2: Done 0/0 done", "Step 2/2: Running 0/0", "Step 2/2: Done 0/0 done")
	for _, want := range []string{"old builder", "docker login bad", "Step 2/2 : COPY", "Successfully tagged shop:2"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("no %q in %s", want, s.log.String())
		}
	}
	if strings.Contains(s.log.String(), "s3cret") {
		t.Error("the log has a password")
	}
}

// fakeDocker is a docker with buildx that says what buildx says.
func fakeDocker(t *testing.T, home, version, build string) {
	t.Helper()
	write(t, home, "bin/docker", "#!/bin/sh\nif [ \"$2\" = version ]; then echo github.com/docker/buildx "+version+" 0; exit; fi\n"+build)
}

func TestBuildxReportsStepsAndLog(t *testing.T) {
	e := newFakeEngine(t)
	write(t, e.home, "Dockerfile", "FROM scratch")
	fakeDocker(t, e.home, "v0.13.1", `printf '%s\n' "$PWD $DOCKER_HOST $*" >"$HOME/asked"
/bin/cat >&2 <<'END'
{"vertexes":[{"digest":"sha256:1","name":"[1/2] FROM base"}]}
{"vertexes":[{"digest":"sha256:1","name":"[1/2] FROM base","started":"2026-11-30T10:00:00Z"}]}
{"statuses":[{"id":"l1","vertex":"sha256:1","current":5,"total":10},{"id":"l2","vertex":"sha256:1","current":1,"total":20}]}
{"statuses":[{"id":"l1","vertex":"sha256:1","current":10,"total":10}]}
{"vertexes":[{"digest":"sha256:1","name":"[1/2] FROM base","started":"2026-11-30T10:00:00Z","completed":"2026-11-30T10:00:01Z"},{"digest":"sha256:2","name":"[2/2] RUN make","cached":true,"completed":"2026-11-30T10:00:01Z"}]}
{"logs":[{"vertex":"sha256:2","stream":1,"data":"bWFkZQo="}],"warnings":[{"short":"b2xk"}]}
END
`)
	var s said
	o := BuildOptions{Folder: e.home, Tag: "shop:2", Target: "app", Args: map[string]string{"B": "2", "A": "1"}, NoCache: true, Pull: true}
	if err := e.Build(t.Context(), o, s.report()); err != nil {
		t.Fatal(err)
	}
	s.want(t, "sha256:1: Waiting 0/0", "sha256:1: Running 0/0", "sha256:1: Running 5/10", "sha256:1: Running 6/30", "sha256:1: Running 11/30",
		"sha256:1: Done 11/30 done", "sha256:2: Cached 0/0 done")
	if want := "=> [1/2] FROM base\n=> CACHED [2/2] RUN make\nmade\nWARNING: old\n"; s.log.String() != want {
		t.Errorf("%q", s.log.String())
	}
	asked, _ := os.ReadFile(filepath.Join(e.home, "asked"))
	want := fmt.Sprintf("%[1]s unix://%[1]s/default/docker.sock buildx build --builder default --progress rawjson --file %[1]s/Dockerfile --tag shop:2 --target app --build-arg A=1 --build-arg B=2 --no-cache --pull -- %[1]s\n", e.home)
	if string(asked) != want {
		t.Errorf("%q\nwant\n%q", asked, want)
	}
}

func TestABuildThatFailsSaysWhy(t *testing.T) {
	e := newFakeEngine(t)
	write(t, e.home, "Dockerfile", "FROM scratch")
	for name, tc := range map[string][3]string{
		"buildx says it":   {"v0.13.1", `echo '{"vertexes":[{"digest":"1","name":"RUN x","error":"exit code: 1"}]}' >&2; echo 'ERROR: failed to solve: x: exit code: 1' >&2; exit 1`, "failed to solve: x: exit code: 1"},
		"the step says it": {"v0.13.1", `echo '{"vertexes":[{"digest":"1","name":"RUN y","error":"context canceled"},{"digest":"2","name":"RUN x","error":"exit code: 2"}]}' >&2; exit 1`, "exit code: 2"},
		"no new line":      {"v0.13.1", `printf 'ERROR: at the end' >&2; exit 1`, "at the end"},
		"an old buildx":    {"v0.10.0", `case "$*" in *"--progress plain"*) echo 'ERROR: plainly' >&2;; esac; exit 1`, "plainly"},
		"nothing":          {"v0.13.1", `exit 3`, "exit status 3"},
	} {
		fakeDocker(t, e.home, tc[0], tc[1])
		err := e.Build(t.Context(), BuildOptions{Folder: e.home}, Report{})
		if err == nil || !strings.HasPrefix(err.Error(), `build "`+e.home) || !strings.HasSuffix(err.Error(), ": "+tc[2]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestACanceledBuildEndsBuildx(t *testing.T) {
	e := newFakeEngine(t)
	write(t, e.home, "Dockerfile", "FROM scratch")
	fakeDocker(t, e.home, "v0.30.0", `trap 'echo interrupted >"$HOME/end"; exit 1' INT; echo begun >&2; while :; do read -r x </dev/null; done`)
	ctx, cancel := context.WithCancel(t.Context())
	begun := make(chan struct{})
	result := make(chan error)
	go func() {
		result <- e.Build(ctx, BuildOptions{Folder: e.home}, Report{Log: func(string) { close(begun) }})
	}()
	<-begun
	cancel()
	select {
	case err := <-result:
		if core.KindOf(err) != core.Canceled {
			t.Errorf("%v", err)
		}
	case <-time.After(testenv.Timeout):
		t.Fatal("buildx goes on")
	}
	if end, err := os.ReadFile(filepath.Join(e.home, "end")); err != nil || string(end) != "interrupted\n" {
		t.Errorf("%q, %v", end, err)
	}
}

func TestBuildxIsFoundBesideADockerWithoutIt(t *testing.T) {
	c, home := newClient(t)
	write(t, home, "bin/docker", "#!/bin/sh\necho 'docker: unknown command: docker buildx' >&2\nexit 1\n")
	want := func(want string) {
		t.Helper()
		if found, inJSON := c.buildx(t.Context()); fmt.Sprint(found) != want || inJSON != (found != nil) {
			t.Errorf("%q, %t, want %q", found, inJSON, want)
		}
	}
	want("[]")
	tools := filepath.Join("default", "bin")
	if err := os.MkdirAll(filepath.Join(home, tools), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, home, filepath.Join(tools, "docker"), "#!/bin/sh\necho github.com/docker/buildx v0.38.2 1\n")
	want(fmt.Sprintf("[%s buildx]", filepath.Join(home, tools, "docker")))
	write(t, home, "bin/docker-buildx", "#!/bin/sh\necho github.com/docker/buildx v0.38.2 1\n")
	want(fmt.Sprintf("[%s/bin/docker-buildx]", home))
}
