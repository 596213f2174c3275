package moby

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine/answers"
	"rancherdesktop.io/rdd/internal/engine/enginetest"
	"rancherdesktop.io/rdd/internal/engine/mirror"
	"rancherdesktop.io/rdd/internal/testenv"
	"rancherdesktop.io/rdd/internal/view"
)

// message is that of a Status.
func message(t *testing.T, body string) string {
	t.Helper()
	var s metav1.Status
	if err := json.Unmarshal([]byte(body), &s); err != nil || s.Kind != "Status" {
		t.Fatalf("no Status: %s", body)
	}
	return s.Message
}

func TestActionsAreDoneWhenTheyAreAnsweredAndTheViewShowsIt(t *testing.T) {
	d := realEngine(t)
	id := d.create(t, "one", container.Config{Cmd: []string{"wait"}}, container.HostConfig{})
	e, _ := connectedEngine(t, d.socket, nil)
	address := enginetest.Served(t, e.Resources())
	for _, step := range []struct {
		action  string
		code    int
		state   v1alpha1.ContainerState
		message string // part of it
	}{
		{"pause", 409, v1alpha1.ContainerCreated, "is not running"},
		{"start", 200, v1alpha1.ContainerRunning, ""},
		{"start", 200, v1alpha1.ContainerRunning, ""}, // nothing to do is no error
		{"pause", 200, v1alpha1.ContainerPaused, ""},
		{"pause", 409, v1alpha1.ContainerPaused, "is already paused"},
		{"unpause", 200, v1alpha1.ContainerRunning, ""},
		{"restart?timeout=30", 200, v1alpha1.ContainerRunning, ""},
		{"stop?timeout=soon", 400, v1alpha1.ContainerRunning, `timeout must be a whole number, and is "soon".`},
		{"stop?timeout=30", 200, v1alpha1.ContainerExited, ""},
		{"kill", 409, v1alpha1.ContainerExited, "is not running"},
		{"start", 200, v1alpha1.ContainerRunning, ""},
		{"kill?signal=NONE", 400, v1alpha1.ContainerRunning, "NONE"},
		{"kill?signal=KILL", 200, "", ""}, // the engine does not wait for the end
	} {
		code, body := enginetest.Request(t, http.MethodPost, address+"/containers/one/"+step.action)
		if code != step.code || !strings.Contains(message(t, body), step.message) || strings.Contains(body, "Error response from daemon") {
			t.Errorf("%s: %d %s", step.action, code, body)
		}
		if state := shown(e)["one"].State; step.state != "" && state != step.state {
			t.Errorf("after %s it is %s", step.action, state)
		}
	}
	testenv.Eventually(t, "it was killed", func() bool { s := shown(e)["one"]; return s.ExitCode != nil && *s.ExitCode == 137 })
	if code, body := enginetest.Request(t, http.MethodGet, address+"/containers/"+id+"/start"); code != 404 {
		t.Errorf("GET: %d %s", code, body)
	}
}

func TestDeleteDoesTheRealThingOrSaysTheEnginesRefusal(t *testing.T) {
	d := realEngine(t)
	running := d.create(t, "running", container.Config{Cmd: []string{"wait"}, Volumes: map[string]struct{}{"/anonymous": {}}}, container.HostConfig{Binds: []string{"data:/data"}})
	d.start1(t, running)
	d.create(t, "created", container.Config{Cmd: []string{"wait"}}, container.HostConfig{})
	graceful := d.create(t, "graceful", container.Config{Cmd: []string{"wait"}}, container.HostConfig{})
	d.start1(t, graceful)
	e, _ := connectedEngine(t, d.socket, nil)
	ctx := t.Context()
	remove := func(r view.Resource, name string, o *metav1.DeleteOptions) error {
		object, err := r.Store.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		err = r.Delete(ctx, object, o)
		if _, err2 := r.Store.Get(name); (err == nil) != errors.Is(err2, view.ErrNotFound) {
			t.Errorf("after the deletion of %s with %v, it is found with %v", name, err, err2)
		}
		return err
	}
	all := e.Resources()
	containers, images, volumes, networks := all[0], all[1], all[2], all[3]
	refused := func(err error, part string) {
		t.Helper()
		if !apierrors.IsConflict(err) && !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), part) {
			t.Errorf("refused with %v", err)
		}
	}
	refused(remove(containers, "running", nil), "running container")
	refused(remove(volumes, "data", nil), "volume is in use")
	refused(remove(images, boxImage, nil), "is using its referenced image")
	refused(remove(networks, "none", nil), "pre-defined network")
	foreground, zero, minute := metav1.DeletePropagationForeground, int64(0), int64(60)
	for name, options := range map[string]*metav1.DeleteOptions{
		"created": nil, "graceful": {GracePeriodSeconds: &minute}, "running": {GracePeriodSeconds: &zero, PropagationPolicy: &foreground},
	} {
		if err := remove(containers, name, options); err != nil {
			t.Error(name, err)
		}
	}
	if list, _ := volumes.Store.List(view.Selector{}); len(list) != 1 || list[0].GetName() != "data" {
		t.Errorf("volumes: %v", list)
	}
	if err := remove(volumes, "data", nil); err != nil {
		t.Error(err)
	}
}

func TestATagIsAddedAndRemoved(t *testing.T) {
	d := realEngine(t)
	e, _ := connectedEngine(t, d.socket, nil)
	address := enginetest.Served(t, e.Resources())
	if code, body := enginetest.Request(t, http.MethodPost, address+"/images/"+boxImage+"/tag?target=shop:2"); code != 200 {
		t.Errorf("%d %s", code, body)
	}
	for query, part := range map[string]string{"": "target=REPOSITORY:TAG", "target=Shop:2": "repository name", "target=a@sha256:" + strings.Repeat("0", 64): "digest"} {
		if code, body := enginetest.Request(t, http.MethodPost, address+"/images/"+boxImage+"/tag?"+query); code != 400 || !strings.Contains(body, part) {
			t.Errorf("%s: %d %s", query, code, body)
		}
	}
	o, err := e.resources.Images.Store.Get("shop:2")
	if err != nil {
		t.Fatal(err)
	}
	if err := e.deleteImage(t.Context(), o, nil); err != nil {
		t.Error(err)
	}
	if list, _ := e.resources.Images.Store.List(view.Selector{}); len(list) != 1 {
		t.Errorf("images: %v", list)
	}
}

func TestLogsReadAsKubectls(t *testing.T) {
	d := realEngine(t)
	for name, tty := range map[string]bool{"plain": false, "terminal": true} {
		d.start1(t, d.create(t, name, container.Config{Cmd: []string{"log"}, Tty: tty}, container.HostConfig{}))
	}
	e, _ := connectedEngine(t, d.socket, nil)
	address := enginetest.Served(t, e.Resources())
	log := func(name, query string) string {
		code, body := enginetest.Request(t, http.MethodGet, address+"/containers/"+name+"/log?"+query)
		if code != 200 {
			t.Errorf("%s: %d %s", query, code, body)
		}
		return body
	}
	_ = log("plain", "follow=true") // ends with the container
	_ = log("terminal", "follow=true")
	for query, want := range map[string]string{
		"stream=Stdout":                  "out 1\nout 2\nout 3\n",
		"stream=stderr&limitBytes=6":     "err 1\n",
		"stream=stdout&limitBytes=8":     "out 1\nou",
		"tailLines=0":                    "",
		"sinceTime=2100-01-01T00:00:00Z": "",
	} {
		if got := log("plain", query); got != want {
			t.Errorf("%s: %q", query, got)
		}
	}
	if got := log("plain", "sinceSeconds=3600"); len(strings.Split(got, "\n")) != 7 {
		t.Errorf("all of it: %q", got)
	}
	if got := log("terminal", ""); strings.Count(got, "\r\n") != 6 || !strings.Contains(got, "err 3") {
		t.Errorf("of a terminal: %q", got)
	}
	stamp, _, _ := strings.Cut(log("plain", "timestamps=true&tailLines=1"), " ")
	if _, err := time.Parse(time.RFC3339Nano, stamp); err != nil {
		t.Error(err)
	}
	for query, part := range map[string]string{
		"previous=true": "one log has all runs", "tailLines=few": "whole number", "sinceTime=now": "2026-01-31", "stream=both": "stdout, stderr or all",
		"sinceSeconds=1&sinceTime=2026-01-31T12:00:00Z": "not both", "follow=often": "true or false", "tailLines=-1": "negative", "tailLines=1&stream=stdout": "both streams",
	} {
		if code, body := enginetest.Request(t, http.MethodGet, address+"/containers/plain/log?"+query); code != 400 || !strings.Contains(message(t, body), part) {
			t.Errorf("%s: %d %s", query, code, body)
		}
	}
}

func TestExecSpeaksWithTheCommandAndReturnsItsExitCode(t *testing.T) {
	d := realEngine(t)
	d.start1(t, d.create(t, "one", container.Config{Cmd: []string{"wait"}}, container.HostConfig{}))
	e, _ := connectedEngine(t, d.socket, nil)
	address := enginetest.Served(t, e.Resources()) + "/containers/one/exec"

	var out, problems bytes.Buffer
	err := enginetest.Execute(t, address, url.Values{"command": {"/box", "talk"}}, remotecommand.StreamOptions{Stdin: strings.NewReader("hello\n"), Stdout: &out})
	exit, ok := errors.AsType[utilexec.CodeExitError](err)
	if !ok || exit.Code != 7 || out.String() != "heard hello\nbye\n" {
		t.Errorf("talk: %v, %q", err, out.String())
	}

	out.Reset()
	err = enginetest.Execute(t, address, url.Values{"command": {"/box", "log"}}, remotecommand.StreamOptions{Stdout: &out, Stderr: &problems})
	if err != nil || out.String() != "out 1\nout 2\nout 3\n" || problems.String() != "err 1\nerr 2\nerr 3\n" {
		t.Errorf("log: %v, %q, %q", err, out.String(), problems.String())
	}

	out.Reset()
	queue := make(enginetest.Sizes, 2)
	queue <- &remotecommand.TerminalSize{Width: 100, Height: 30}
	defer close(queue)
	err = enginetest.Execute(t, address, url.Values{"command": {"/box", "size"}}, remotecommand.StreamOptions{Stdin: strings.NewReader(""), Stdout: &out, Tty: true, TerminalSizeQueue: queue})
	if err != nil || out.String() != "100 by 30\r\n" {
		t.Errorf("size: %v, %q", err, out.String())
	}

	err = enginetest.Execute(t, address, url.Values{"command": {"/missing"}}, remotecommand.StreamOptions{Stdout: &out})
	if exit, ok := errors.AsType[utilexec.CodeExitError](err); !ok || exit.Code < 126 {
		t.Errorf("missing: %v", err)
	}
	if code, body := enginetest.Request(t, http.MethodGet, address+"?stdout=1&command=/box"); code != 400 || !strings.Contains(message(t, body), "WebSocket") {
		t.Errorf("without a WebSocket: %d %s", code, body)
	}
	d.create(t, "stopped", container.Config{}, container.HostConfig{})
	testenv.Eventually(t, "it is shown", func() bool { return shown(e)["stopped"].ID != "" })
	err = enginetest.Execute(t, strings.Replace(address, "one", "stopped", 1), url.Values{"command": {"/box"}}, remotecommand.StreamOptions{Stdout: &out})
	if err == nil || !strings.Contains(err.Error(), "is not running") {
		t.Errorf("stopped: %v", err)
	}
}

func TestAttachSpeaksWithTheContainersOwnProcess(t *testing.T) {
	d := realEngine(t)
	d.start1(t, d.create(t, "one", container.Config{Cmd: []string{"talk"}, OpenStdin: true, StdinOnce: true, AttachStdin: true}, container.HostConfig{}))
	e, _ := connectedEngine(t, d.socket, nil)
	testenv.Eventually(t, "it runs", func() bool { return shown(e)["one"].State == v1alpha1.ContainerRunning })
	address := enginetest.Served(t, e.Resources()) + "/containers/one/attach"
	var out bytes.Buffer
	if err := enginetest.Execute(t, address, url.Values{}, remotecommand.StreamOptions{Stdin: strings.NewReader("hello\n"), Stdout: &out}); err != nil || out.String() != "heard hello\nbye\n" {
		t.Errorf("talk: %v, %q", err, out.String())
	}
	testenv.Eventually(t, "it has exited", func() bool { return shown(e)["one"].State == v1alpha1.ContainerExited })
	if err := enginetest.Execute(t, address, url.Values{}, remotecommand.StreamOptions{Stdout: &out}); err == nil || !strings.Contains(err.Error(), "Start it first") {
		t.Errorf("attach to a stopped container: %v", err)
	}
}

func TestStatsMeasureAtTheFirstLook(t *testing.T) {
	d := realEngine(t)
	d.start1(t, d.create(t, "one", container.Config{Cmd: []string{"wait"}}, container.HostConfig{}))
	d.create(t, "stopped", container.Config{}, container.HostConfig{})
	e, _ := connectedEngine(t, d.socket, nil)
	address := enginetest.Served(t, e.Resources())
	for range 2 {
		var s v1alpha1.ContainerStats
		code, body := enginetest.Request(t, http.MethodGet, address+"/containers/one/stats")
		if err := json.Unmarshal([]byte(body), &s); err != nil || code != 200 || s.Time.IsZero() || s.Processors == 0 || s.MemoryLimit == 0 {
			t.Errorf("%d %s %v", code, body, err)
		}
	}
	if code, body := enginetest.Request(t, http.MethodGet, address+"/containers/stopped/stats"); code != 200 || !strings.Contains(body, `"memory":0`) {
		t.Errorf("stopped: %d %s", code, body)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/containers/one/stats?stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := json.NewDecoder(answer.Body)
	for range 2 {
		var s v1alpha1.ContainerStats
		if err := lines.Decode(&s); err != nil || s.Time.IsZero() {
			t.Errorf("stream: %+v %v", s, err)
		}
	}
}

func TestFilesOfAVolumeAreListedAndDownloaded(t *testing.T) {
	d := realEngine(t)
	for name, cmd := range map[string][]string{
		"write": {"write", "/data/a folder/it's", "content"}, "link": {"link", "/data/out", "/etc"}, "inner": {"link", "/data/in", "a folder"},
	} {
		id := d.create(t, name, container.Config{Cmd: cmd}, container.HostConfig{Binds: []string{"data:/data"}})
		d.start1(t, id)
	}
	e, _ := connectedEngine(t, d.socket, nil)
	testenv.Eventually(t, "all is written", func() bool {
		all := shown(e)
		return all["write"].State == v1alpha1.ContainerExited && all["link"].State == v1alpha1.ContainerExited && all["inner"].State == v1alpha1.ContainerExited
	})
	address := enginetest.Served(t, e.Resources()) + "/volumes/data/files"
	list := func(at string) (out []string) {
		code, body := enginetest.Request(t, http.MethodGet, address+at)
		var files v1alpha1.VolumeFiles
		if err := json.Unmarshal([]byte(body), &files); err != nil || code != 200 || files.Truncated {
			t.Errorf("%s: %d %s %v", at, code, body, err)
		}
		for _, f := range files.Files {
			if f.Modified.IsZero() || f.Owner != 0 {
				t.Errorf("%+v", f)
			}
			out = append(out, strings.Join([]string{f.Type, f.Mode, f.Name, f.Target}, " "))
		}
		return out
	}
	if got := list(""); !slices.Equal(got, []string{"folder 0755 a folder ", "link 0777 in a folder", "link 0777 out /etc"}) {
		t.Errorf("the volume: %q", got)
	}
	for _, at := range []string{"/a%20folder", "/in/"} {
		if got := list(at); !slices.Equal(got, []string{"file 0640 it's "}) {
			t.Errorf("%s: %q", at, got)
		}
	}
	if code, body := enginetest.Request(t, http.MethodGet, address+"/in/it's?download=true"); code != 200 || body != "content" {
		t.Errorf("a file: %d %q", code, body)
	}
	code, body := enginetest.Request(t, http.MethodGet, address+"?download")
	var names []string
	for archive := tar.NewReader(strings.NewReader(body)); ; {
		h, err := archive.Next()
		if err != nil {
			break
		}
		names = append(names, h.Name)
	}
	slices.Sort(names)
	if code != 200 || !slices.Equal(names, []string{"./", "./a folder/", "./a folder/it's", "./in", "./out"}) {
		t.Errorf("the volume: %d %q", code, names)
	}
	for at, want := range map[string]string{
		"/missing": "There is no /missing in the volume.", "/out": "/out is a link that leads out of the volume.",
		"/out/passwd?download": "leads out of the volume", "/../../../etc": "There is no /etc in the volume.", "/in/it's": "it is no folder",
	} {
		if code, body := enginetest.Request(t, http.MethodGet, address+at); code < 400 || !strings.Contains(message(t, body), want) {
			t.Errorf("%s: %d %s", at, code, body)
		}
	}
}

// names returns the types, names and targets of what an answer lists.
func names(t *testing.T, code int, body string) (all []string) {
	t.Helper()
	var files v1alpha1.VolumeFiles
	if err := json.Unmarshal([]byte(body), &files); err != nil || code != 200 {
		t.Fatalf("%d %s (%v)", code, body, err)
	}
	for _, f := range files.Files {
		all = append(all, strings.TrimSpace(strings.Join([]string{f.Type, f.Name, f.Target}, " ")))
	}
	return all
}

func TestFilesOfAContainerAreListedAndDownloadedAsItSeesThem(t *testing.T) {
	d := realEngine(t)
	for name, cmd := range map[string][]string{
		"write": {"write", "/data/deep/file", "content"}, "link": {"link", "/data/out", "/data/deep"},
	} {
		d.start1(t, d.create(t, name, container.Config{Cmd: cmd}, container.HostConfig{Binds: []string{"inside:/data"}}))
	}
	d.start1(t, d.create(t, "live", container.Config{Cmd: []string{"wait"}}, container.HostConfig{Binds: []string{"inside:/data"}}))
	e, _ := connectedEngine(t, d.socket, nil)
	testenv.Eventually(t, "all is written", func() bool {
		all := shown(e)
		return all["write"].State == v1alpha1.ContainerExited && all["link"].State == v1alpha1.ContainerExited && all["live"].State == v1alpha1.ContainerRunning
	})
	all := shown(e)
	files := func(container, at string) (int, string) {
		return enginetest.Request(t, http.MethodGet, enginetest.Served(t, e.Resources())+"/containers/"+all[container].ID+"/files"+at)
	}
	code, body := files("live", "")
	if got := names(t, code, body); !slices.Contains(got, "file box") || !slices.Contains(got, "folder data") || !slices.Contains(got, "folder proc") {
		t.Errorf("the root: %q", got)
	}
	// The volume is there, and an absolute link is the container's, not one of the virtual machine.
	for _, at := range []string{"/data/deep", "/data/out", "/data/out/"} {
		if code, body = files("live", at); !slices.Equal(names(t, code, body), []string{"file file"}) {
			t.Errorf("%s: %s", at, body)
		}
	}
	// The volumes of a container that does not run are shown, too.
	if code, body = files("write", "/data"); !slices.Equal(names(t, code, body), []string{"folder deep", "link out /data/deep"}) {
		t.Errorf("the volume of a stopped container: %s", body)
	}
	for _, name := range []string{"live", "write"} {
		if code, body := files(name, "/data/out/file?download"); code != 200 || body != "content" {
			t.Errorf("a file of %s: %d %q", name, code, body)
		}
	}
	code, body = files("live", "/data/deep?download")
	archive := tar.NewReader(strings.NewReader(body))
	first, err := archive.Next()
	if err != nil || code != 200 || first.Name != "deep/" {
		t.Errorf("a folder: %d %+v %v", code, first, err)
	}
	for at, want := range map[string]string{
		"/missing": "There is no /missing in the container.", "/box": "it is no folder", "/missing?download": "There is no /missing",
	} {
		if code, body := files("live", at); code < 400 || !strings.Contains(message(t, body), want) {
			t.Errorf("%s: %d %s", at, code, body)
		}
	}
	// The tests' engine has another storage driver than the guest's.
	if code, body := files("write", ""); code != http.StatusConflict || !strings.Contains(message(t, body), "Start the container first") {
		t.Errorf("a stopped container: %d %s", code, body)
	}
}

// The layers of a stopped container are joined as the engine would join them, and no mount is left.
func TestFilesOfAContainerThatDoesNotRunAreThoseOfItsLayers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir, err := os.MkdirTemp("/dev/shm", "layers") // an overlay can't be mounted over another one
	if err != nil {
		t.Skip("needs /dev/shm")
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for path, text := range map[string]string{
		"own/lower": "l/A:l/B", "own/diff/etc/own": "1", "a/diff/etc/upper": "2", "a/diff/etc/both": "3", "b/diff/etc/both": "4", "b/diff/usr/lower": "5",
	} {
		path = filepath.Join(dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "l"), 0o755), os.Symlink("../a/diff", filepath.Join(dir, "l/A")), os.Symlink("../b/diff", filepath.Join(dir, "l/B"))); err != nil {
		t.Fatal(err)
	}
	g := enginetest.NewGuest(t, "")
	s := &session{Session: &mirror.Session[reading]{Dial: g.Dial}}
	for at, want := range map[string][]string{"/": {"etc", "usr"}, "/etc": {"both", "own", "upper"}} {
		answer, err := s.run(t.Context(), "exec unshare -m sh -c "+answers.Quote(restingScript)+` sh "$@"`, "container", filepath.Join(dir, "own"), at)
		if err != nil {
			t.Fatal(err)
		}
		files, err := answer.list()
		var got []string
		for i := range files.Files {
			got = append(got, files.Files[i].Name)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q %v", at, got, err)
		}
	}
	if mounts, err := os.ReadFile("/proc/self/mounts"); err != nil || strings.Contains(string(mounts), dir) {
		t.Errorf("a mount is left: %v", err)
	}
}

func TestInspectIsWhatTheEngineSays(t *testing.T) {
	d := realEngine(t)
	id := d.create(t, "one", container.Config{Cmd: []string{"wait"}}, container.HostConfig{Binds: []string{"data:/data"}})
	e, _ := connectedEngine(t, d.socket, nil)
	testenv.Eventually(t, "it is shown", func() bool { return shown(e)["one"].ID == id })
	address := enginetest.Served(t, e.Resources())
	images, _ := e.resources.Images.Store.List(view.Selector{})
	networks, _ := e.resources.Networks.Store.List(view.Selector{})
	if len(images) != 1 || len(networks) == 0 {
		t.Fatal(images, networks)
	}
	for at, want := range map[string]string{
		"containers/" + id: `"Name":"/one"`, "images/" + images[0].GetName(): `"RepoTags":["box:1"]`, "volumes/data": `"Name":"data"`,
		"networks/" + networks[0].GetName(): `"Id":"` + networks[0].GetName(),
	} {
		if code, body := enginetest.Request(t, http.MethodGet, address+"/"+at+"/inspect"); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", at, code, body)
		}
	}
}
