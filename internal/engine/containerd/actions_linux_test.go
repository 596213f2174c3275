package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/engine/enginetest"
	"rancherdesktop.io/rdd/internal/testenv"
	"rancherdesktop.io/rdd/internal/view"
)

// deleted deletes an object; seconds is the grace period, and negative for none.
func deleted(t *testing.T, r view.Resource, name string, seconds int64) error {
	t.Helper()
	o, err := r.Store.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	options := &metav1.DeleteOptions{}
	if seconds >= 0 {
		options.GracePeriodSeconds = &seconds
	}
	return r.Delete(t.Context(), o, options)
}

func TestActionsAreDoneAndShownWhenTheyAnswer(t *testing.T) {
	d := realContainerd(t)
	d.run(t, "default", "one", nil, "wait")
	e, _ := connectedEngine(t, d.socket, patient)
	address := enginetest.Served(t, e.Resources()) + "/containers/one/"
	for _, step := range []struct {
		action string
		code   int
		says   string
		then   string
	}{
		{"pause", 200, "", "paused"},
		{"pause", 409, "does not run", "paused"},
		{"start", 409, "Unpause it", "paused"},
		{"unpause", 200, "", "running"},
		{"unpause", 409, "not paused", "running"},
		{"start", 200, "", "running"},
		{"kill?signal=NONE", 400, "There is no signal", "running"},
		{"stop?timeout=x", 400, "whole number", "running"},
		{"stop?timeout=30", 200, "", "exited 0"},
		{"stop", 200, "", "exited 0"},
		{"kill", 409, "does not run", "exited 0"},
		{"start", 200, "", "running"},
		{"kill", 200, "", ""},
		{"start", 200, "", "running"},
		{"restart?signal=USR1&timeout=0", 200, "", "running"},
		{"pause", 200, "", "paused"},
		{"stop", 200, "", "exited 0"},
	} {
		if step.action == "start" && step.code == 200 { // what was killed ends a moment later
			testenv.Eventually(t, "the container has ended", func() bool { return len(lines(e)) == 1 && lines(e)[0] != "default one paused" })
		}
		code, body := enginetest.Request(t, http.MethodPost, address+step.action)
		if code != step.code || !strings.Contains(body, step.says) {
			t.Errorf("%s: %d %s", step.action, code, body)
		}
		if got := lines(e); step.then != "" && (len(got) != 1 || got[0] != "default one "+step.then) {
			t.Errorf("after %s: %q, want %q", step.action, got, step.then)
		}
	}
	containers := enginetest.Resource(t, e.Resources(), v1alpha1.Containers)
	d.run(t, "default", "two", nil, "wait")
	eventually(t, e, "default one exited 0", "default two running")
	if err := deleted(t, containers, "two", -1); err == nil || !strings.Contains(err.Error(), "Stop it first") {
		t.Errorf("a container that runs was deleted: %v", err)
	}
	if err := deleted(t, containers, "two", 0); err != nil {
		t.Error(err)
	}
	if err := deleted(t, containers, "one", -1); err != nil {
		t.Error(err)
	}
	if got := lines(e); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
	if left := d.ctr(t, "snapshots", "--snapshotter", "native", "ls"); strings.Contains(left, "one") || strings.Contains(left, "two") {
		t.Errorf("snapshots are left: %s", left)
	}
	if _, err := os.Stat(logFile("default", "one")); err == nil {
		t.Error("the log is left")
	}
}

func TestNerdctlStartsAndRemovesItsContainers(t *testing.T) {
	d := realContainerd(t)
	for _, id := range []string{"one", "two"} {
		d.run(t, "default", id, []string{"--label", "nerdctl/name=shop-" + id}, "wait")
	}
	e, g := connectedEngine(t, d.socket, patient)
	eventually(t, e, "default one running", "default two running")
	start := func() (int, string) {
		return enginetest.Request(t, http.MethodPost, enginetest.Served(t, e.Resources())+"/containers/shop-one/start")
	}
	if code, body := start(); code != http.StatusOK {
		t.Errorf("it runs: %d %s", code, body)
	}
	if code, body := enginetest.Request(t, http.MethodPost, enginetest.Served(t, e.Resources())+"/containers/shop-one/stop"); code != http.StatusOK {
		t.Errorf("%d %s", code, body)
	}
	// Without nerdctl nothing is done to them.
	if code, body := start(); code != http.StatusConflict || !strings.Contains(body, "rdd nerdctl --namespace default start shop-one") {
		t.Errorf("%d %s", code, body)
	}
	containers := enginetest.Resource(t, e.Resources(), v1alpha1.Containers)
	if err := deleted(t, containers, "shop-two", 0); err == nil || !strings.Contains(err.Error(), "rdd nerdctl --namespace default rm shop-two") {
		t.Error(err)
	}
	if err := deleted(t, containers, "shop-two", -1); err == nil || !strings.Contains(err.Error(), "Stop it first") {
		t.Error(err)
	}
	eventually(t, e, "default one exited 0", "default two running")

	asked := installNerdctl(t, g, "ctr -a "+d.socket+` -n "$2" task rm -f "$last" && ctr -a `+d.socket+` -n "$2" container rm "$last"`)
	if code, body := start(); code != http.StatusConflict || !strings.Contains(body, "nerdctl says: there is no network") {
		t.Errorf("%d %s", code, body)
	}
	if err := deleted(t, containers, "shop-one", -1); err != nil {
		t.Error(err)
	}
	if err := deleted(t, containers, "shop-two", 0); err != nil {
		t.Error(err)
	}
	eventually(t, e)
	if got, want := asked(), "--namespace default start one\n--namespace default rm one\n--namespace default rm --force two\n"; got != want {
		t.Errorf("nerdctl was asked %q, want %q", got, want)
	}
}

// installNerdctl puts a stand-in for nerdctl into the guest that removes a container with a command, and returns what it was
// asked.
func installNerdctl(t *testing.T, g *enginetest.Guest, remove string) (asked func() string) {
	t.Helper()
	program := filepath.Join(g.Tools, "nerdctl", engine.NerdctlProgram)
	log := filepath.Join(g.Tools, "asked")
	text := "#!/bin/sh\necho \"$@\" >>" + log + "\nfor last; do :; done\nif [ $3 = start ]; then echo there is no network; exit 1; fi\n" + remove + "\n"
	if err := errors.Join(os.MkdirAll(filepath.Dir(program), 0o755), os.WriteFile(program, []byte(text), 0o755)); err != nil {
		t.Fatal(err)
	}
	return func() string {
		text, _ := os.ReadFile(log)
		return string(text)
	}
}

func TestImagesAreTaggedAndDeleted(t *testing.T) {
	d := realContainerd(t)
	d.copyImage(t, "other")
	d.run(t, "other", "user", nil, "log")
	e, _ := connectedEngine(t, d.socket, patient)
	images := enginetest.Resource(t, e.Resources(), v1alpha1.Images)
	list, _ := images.Store.List(view.Selector{})
	i := slices.IndexFunc(list, func(o view.Object) bool { return o.(*v1alpha1.Image).Status.Namespace == "other" })
	address := enginetest.Served(t, e.Resources()) + "/images/" + list[i].GetName() + "/tag?target="
	if code, body := enginetest.Request(t, http.MethodPost, address+"UPPER:1"); code != http.StatusBadRequest {
		t.Errorf("%d %s", code, body)
	}
	if code, body := enginetest.Request(t, http.MethodPost, address+"shop:2"); code != http.StatusOK {
		t.Errorf("%d %s", code, body)
	}
	o, err := images.Store.Get("shop:2")
	if err != nil || o.(*v1alpha1.Image).Status.Namespace != "other" || o.(*v1alpha1.Image).Status.RepoTag != "docker.io/library/shop:2" {
		t.Fatalf("%v: %+v", err, o)
	}
	if err := deleted(t, images, list[i].GetName(), -1); err != nil { // a tag of two
		t.Error(err)
	}
	if err := deleted(t, images, "shop:2", -1); err == nil || !strings.Contains(err.Error(), "These containers use the image: user") {
		t.Errorf("an image in use was deleted: %v", err)
	}
	if err := deleted(t, images, "shop:2", 0); err != nil {
		t.Error(err)
	}
	if left := d.ctr(t, "-n", "other", "images", "ls", "-q"); left != "" {
		t.Errorf("left: %s", left)
	}
}

func TestLogsAreFoundWhereWhoeverStartedTheContainerPutsThem(t *testing.T) {
	d := realContainerd(t)
	dir := t.TempDir()
	d.run(t, "default", "plain", []string{"--log-uri", "file://" + dir + "/plain.log"}, "log")
	d.run(t, "default", "none", nil, "log")
	d.run(t, "default", "0123", []string{"--label", "nerdctl/name=web", "--label", "nerdctl/state-dir=" + dir}, "log")
	json := `{"log":"one\n","stream":"stdout","time":"2026-01-02T15:04:05Z"}` + "\n" + `{"log":"two\n","stream":"stderr","time":"2026-01-02T15:04:06Z"}` + "\n"
	if err := os.WriteFile(filepath.Join(dir, "0123-json.log"), []byte(json), 0o600); err != nil {
		t.Fatal(err)
	}
	e, _ := connectedEngine(t, d.socket, patient)
	eventually(t, e, "default 0123 exited 0", "default none exited 0", "default plain exited 0")
	address := enginetest.Served(t, e.Resources()) + "/containers/"
	for _, tc := range []struct {
		query string
		code  int
		want  string
	}{
		{"web/log", 200, "one\ntwo\n"},
		{"web/log?follow=true", 200, "one\ntwo\n"},
		{"web/log?tailLines=1", 200, "two\n"},
		{"web/log?timestamps=true&stream=stdout", 200, "2026-01-02T15:04:05Z one\n"},
		{"web/log?sinceTime=2026-01-02T15:04:06Z", 200, "two\n"},
		{"web/log?limitBytes=2", 200, "on"},
		{"plain/log?tailLines=1", 200, ""},
		{"plain/log?timestamps=true", 400, "plain file"},
		{"none/log", 404, "containerd keeps none itself"},
		{"none/log?tailLines=x", 400, "whole number"},
	} {
		code, body := enginetest.Request(t, http.MethodGet, address+tc.query)
		if code != tc.code || code == 200 && tc.want != "" && body != tc.want || !strings.Contains(body, tc.want) {
			t.Errorf("%s: %d %q, want %d %q", tc.query, code, body, tc.code, tc.want)
		}
	}
	if _, body := enginetest.Request(t, http.MethodGet, address+"plain/log"); strings.Count(body, "out ")+strings.Count(body, "err ") != 6 {
		t.Errorf("the plain file: %q", body)
	}
	if e, ok := criLine([]byte("2026-01-02T15:04:05.5Z stderr P a b\n")); !ok || !e.stderr || string(e.text) != "a b" || e.at.Nanosecond() != 5e8 {
		t.Errorf("a line of Kubernetes: %+v %t", e, ok)
	}
	if e, ok := criLine([]byte("2026-01-02T15:04:05Z stdout F \n")); !ok || e.stderr || string(e.text) != "\n" {
		t.Errorf("an empty line of Kubernetes: %+v %t", e, ok)
	}
}

func TestAContainerThatRDDStartsHasALogToFollow(t *testing.T) {
	d := realContainerd(t)
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Join(logFolder, "default")) })
	d.ctr(t, "-n", "default", "container", "create", "--snapshotter", "native", boxImage, "late", "/box", "write", "/proc/self/fd/1", "hello\n")
	d.ctr(t, "-n", "default", "container", "create", "--snapshotter", "native", boxImage, "waits", "/box", "wait")
	e, _ := connectedEngine(t, d.socket, patient)
	eventually(t, e, "default late created", "default waits created")
	address := enginetest.Served(t, e.Resources()) + "/containers/"
	if code, body := enginetest.Request(t, http.MethodGet, address+"waits/log"); code != http.StatusNotFound {
		t.Errorf("before the first start: %d %s", code, body)
	}
	for _, name := range []string{"late", "waits"} {
		if code, body := enginetest.Request(t, http.MethodPost, address+name+"/start"); code != http.StatusOK {
			t.Fatalf("%d %s", code, body)
		}
	}
	testenv.Eventually(t, "the log is there", func() bool {
		_, body := enginetest.Request(t, http.MethodGet, address+"late/log")
		return body == "hello\n"
	})
	if err := os.WriteFile(logFile("default", "waits"), []byte("said\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"waits/log?follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	followed, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer followed.Body.Close()
	line := make([]byte, len("said\n"))
	if _, err := io.ReadFull(followed.Body, line); err != nil || string(line) != "said\n" {
		t.Fatalf("followed: %q %v", line, err)
	}
	if code, body := enginetest.Request(t, http.MethodPost, address+"waits/stop"); code != http.StatusOK {
		t.Errorf("%d %s", code, body)
	}
	if rest, err := io.ReadAll(followed.Body); err != nil || len(rest) > 0 { // it ends with the container
		t.Errorf("after the container's end: %q %v", rest, err)
	}
}

func TestExecSpeaksWithTheCommandAndReturnsItsExitCode(t *testing.T) {
	d := realContainerd(t)
	d.run(t, "default", "one", nil, "wait")
	e, _ := connectedEngine(t, d.socket, patient)
	eventually(t, e, "default one running")
	address := enginetest.Served(t, e.Resources()) + "/containers/one/exec"
	var out, errs bytes.Buffer
	err := enginetest.Execute(t, address, url.Values{"command": {"/box", "talk"}}, remotecommand.StreamOptions{Stdin: strings.NewReader("hello\nyou"), Stdout: &out, Stderr: &errs})
	var exit utilexec.ExitError
	if !errors.As(err, &exit) || exit.ExitStatus() != 7 || out.String() != "heard hello\nheard you\nbye\n" || errs.Len() > 0 {
		t.Errorf("%v: %q %q", err, &out, &errs)
	}
	out.Reset()
	if err = enginetest.Execute(t, address, url.Values{"command": {"/box", "log"}}, remotecommand.StreamOptions{Stdout: &out, Stderr: &errs}); err != nil || out.String() != "out 1\nout 2\nout 3\n" || errs.String() != "err 1\nerr 2\nerr 3\n" {
		t.Errorf("%v: %q %q", err, &out, &errs)
	}
	out.Reset()
	queue := make(enginetest.Sizes, 2)
	queue <- &remotecommand.TerminalSize{Width: 100, Height: 30}
	defer close(queue)
	err = enginetest.Execute(t, address, url.Values{"command": {"/box", "size"}}, remotecommand.StreamOptions{Stdin: strings.NewReader(""), Stdout: &out, Tty: true, TerminalSizeQueue: queue})
	if err != nil || !strings.Contains(out.String(), "100 by 30") {
		t.Errorf("a terminal: %v: %q", err, &out)
	}
	for query, says := range map[string]string{"command=/nope&stdout=true": "nope", "command=/box&stdout=true&user=me": "must be numbers", "stdout=true": "needs command"} {
		values, _ := url.ParseQuery(query)
		if err := enginetest.Execute(t, address, values, remotecommand.StreamOptions{Stdout: io.Discard}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", query, err)
		}
	}
	testenv.Eventually(t, "no pipe and no process is left, which go after the client was told the end", func() bool {
		left, _ := filepath.Glob("/run/rdd-exec/*")
		return len(left) == 0 && strings.Count(d.ctr(t, "-n", "default", "task", "ps", "one"), "\n") == 1
	})
	d.ctr(t, "-n", "default", "task", "kill", "-s", "SIGKILL", "one")
	eventually(t, e, "default one exited 137")
	if err := enginetest.Execute(t, address, url.Values{"command": {"/box"}}, remotecommand.StreamOptions{Stdout: io.Discard}); err == nil || !strings.Contains(fmt.Sprint(err), "does not run") {
		t.Errorf("%v", err)
	}
}
