package page

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"k8s.io/klog/v2"

	"rancherdesktop.io/rdd/app/operation"
	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/testenv"
)

// newEngineEnv returns an env whose App runs, with these containers: lines of name, image and state.
func newEngineEnv(t *testing.T, containers string) *env {
	t.Helper()
	e := newEnv(t)
	guest := filepath.Join(filepath.Dir(filepath.Dir(e.lima.Dir)), "share", "rdd", "guest")
	if err := os.MkdirAll(guest, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(guest, "rdd-guest.yaml"), []byte("images: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e.set("containers", containers)
	return e
}

// known waits until the page shows what ok wants of the engine, and returns the containers by name.
func (e *env) known(what string, ok func(event EngineEvent, all map[string]Container) bool) map[string]Container {
	e.Helper()
	late := time.After(testenv.Timeout)
	for {
		e.mu.Lock()
		all := map[string]Container{}
		for _, c := range e.containers {
			all[c.Name] = c
		}
		found := ok(e.engine, all)
		e.mu.Unlock()
		if found {
			return all
		}
		select {
		case <-e.arrived:
		case <-late:
			e.Fatalf("never seen: %s; last: %+v %+v", what, e.engine, all)
		}
	}
}

func has(name string, state string) func(EngineEvent, map[string]Container) bool {
	return func(_ EngineEvent, all map[string]Container) bool { return string(all[name].State) == state }
}

// failures calls a method for some objects.
func (e *env) failures(method, format string, a ...any) (found []Failure) {
	e.Helper()
	e.call(method, fmt.Sprintf(format, a...), &found)
	return found
}

// A person creates the App with settings of their own, uses containers, and deletes everything.
func TestLifeOfTheApp(t *testing.T) {
	e := newEngineEnv(t, "web nginx:1 running\ndb postgres:17 exited\n")
	if s := e.sees("no instance", func(s State) bool { return s.Service.State == core.ServiceNotCreated }); s.App != nil {
		t.Errorf("there is an App: %+v", s.App)
	}
	e.known("why there are no containers", func(event EngineEvent, _ map[string]Container) bool {
		return event.Reset && !event.Known && event.Reason == "There is no container engine yet."
	})
	var form AppForm
	e.call("app.settings", `{}`, &form)
	if form.Values.CPUs != form.Defaults.CPUs || form.Values.Engine != "moby" || len(form.Own) != 0 || form.Most.CPUs == 0 || len(form.Values.Mounts) != 1 {
		t.Errorf("%+v", form)
	}
	var wrong []FieldProblem
	e.call("app.check", `{"cpus": 5000}`, &wrong)
	if len(wrong) != 1 || wrong[0].Field != "cpus" {
		t.Errorf("%+v", wrong)
	}
	id := e.begin("app.set", `{"cpus": 1, "mounts": [], "start": true}`)
	s := e.becomes(id, "done")
	if o := s.Operations[len(s.Operations)-1]; o.Verb != "start-app" || o.Title != "Start the container engine" {
		t.Errorf("%+v", o)
	}
	s = e.sees("an App that runs, and its containers", func(s State) bool {
		return s.App != nil && s.App.State == core.AppRunning && s.App.Counts == AppCounts{Running: 1, Total: 2}
	})
	if a := s.App; a.Engine.Version != "26.1.5" || a.Settings.CPUs != 1 || len(a.Settings.Mounts) != 0 || a.Engine.ContextName == "" || !a.Engine.ContextCurrent {
		t.Errorf("%+v", a)
	}
	e.known("the containers", func(event EngineEvent, all map[string]Container) bool { return event.Known && len(all) == 2 })
	wrong = nil
	e.call("app.check", `{"memory": 1, "bindAddresses": ["nowhere"]}`, &wrong)
	fields := []string{}
	for _, f := range wrong {
		fields = append(fields, f.Field)
	}
	slices.Sort(fields)
	if !slices.Equal(fields, []string{"bindAddresses", "memory"}) {
		t.Errorf("%+v", wrong)
	}
	e.becomes(e.begin("app.stop", `{}`), "done")
	e.known("that it is stopped", func(event EngineEvent, all map[string]Container) bool {
		return !event.Known && event.Reason == "The container engine is stopped." && len(all) == 0
	})
	e.becomes(e.begin("app.start", `{}`), "done")
	e.known("the containers again", func(event EngineEvent, all map[string]Container) bool { return event.Known && len(all) == 2 })
	e.becomes(e.begin("app.restart", `{"force": true}`), "done")
	e.becomes(e.begin("app.delete", `{"force": true}`), "done")
	e.sees("no App", func(s State) bool { return s.App == nil && s.Service.State == core.ServiceRunning })
}

// A start that takes too long asks, can be waited for, and is undone when it is canceled.
func TestAStartOfTheAppAsksAndIsCanceled(t *testing.T) {
	e := newEngineEnv(t, "")
	e.becomes(e.begin("service.start", `{}`), "done")
	e.call("settings.set", `{"vmTimeout": 1}`, nil)
	e.set("boot", "late")
	id := e.begin("app.start", `{}`)
	s := e.sees("a question", func(s State) bool { return s.Question != nil && s.Question.Operation == id })
	if !strings.Contains(s.Question.Force, "Data that it has not written to disk is lost") || !strings.HasPrefix(s.Question.Text, "Start the container engine: not done after") {
		t.Errorf("%+v", s.Question)
	}
	if ref, err := e.api.Follow(operation.StartApp, core.AppName); err != nil || ref.Operation != id {
		t.Errorf("followed as %+v, %v", ref, err)
	}
	e.sees("the step", func(s State) bool { return s.App != nil && s.App.State == core.AppStarting && s.App.Progress != nil })
	var undo Undo
	e.call("operation.cancel", fmt.Sprintf(`{"id": %q}`, id), &undo)
	e.set("booted", "")
	e.becomes(undo.Operation, "done")
	e.sees("a stopped App", func(s State) bool { return s.App != nil && s.App.State == core.AppStopped && !s.App.Running })
	e.becomes(id, "abandoned")
}

func TestContainersAreWorkedWith(t *testing.T) {
	e := newEngineEnv(t, "web nginx:1 running\ndb postgres:17 exited\n")
	e.becomes(e.begin("app.start", `{}`), "done")
	all := e.known("the containers", func(_ EngineEvent, all map[string]Container) bool { return len(all) == 2 })
	web, db := all["web"].Object, all["db"].Object

	// What fails for one is done for the others.
	failed := e.failures("container.start", `{"ids": ["missing", %q]}`, db)
	if len(failed) != 1 || failed[0].ID != "missing" || failed[0].Message == "" {
		t.Errorf("%+v", failed)
	}
	e.known("that db runs", has("db", "running"))
	if failed := e.failures("container.pause", `{"ids": [%q]}`, db); len(failed) != 0 {
		t.Errorf("%+v", failed)
	}
	e.known("that db is paused", has("db", "paused"))
	failed = e.failures("container.delete", `{"ids": [%q, %q]}`, web, db)
	if len(failed) != 1 || failed[0].Name != "web" || !strings.Contains(failed[0].Message, "stop the container before removing") {
		t.Errorf("%+v", failed)
	}
	e.known("that db is gone", has("db", ""))

	var used []ContainerUsage
	e.call("container.usage", fmt.Sprintf(`{"ids": [%q, "missing"]}`, web), &used)
	if len(used) != 1 || used[0].ID != web || used[0].CPU < 0.4 || used[0].CPU > 0.6 || used[0].Memory != 64<<20 || used[0].PIDs != 3 {
		t.Errorf("%+v", used)
	}
	var text Text
	e.call("container.inspect", fmt.Sprintf(`{"id": %q}`, web), &text)
	var inspected struct{ Name string }
	if err := json.Unmarshal([]byte(text.Text), &inspected); err != nil || inspected.Name != "/web" || !strings.Contains(text.Text, "\n  \"") {
		t.Errorf("%v %s", err, text.Text)
	}
	var created ObjectRef
	e.call("volume.create", `{"name": "cache"}`, &created)
	if created.Object != "cache" {
		t.Errorf("%+v", created)
	}
	for _, tc := range []struct{ params, field, message string }{
		{`{"name": "shop"}`, "name", "network with name shop exists already"},
		{`{"name": "shop", "subnet": "10"}`, "subnet", "want an address"},
		{`{"name": ""}`, "name", "is empty"},
	} {
		if _, problem := e.api.Call(t.Context(), "network.create", []byte(tc.params)); problem == nil || problem.Field != tc.field || !strings.Contains(problem.Message, tc.message) {
			t.Errorf("%s: %+v", tc.params, problem)
		}
	}
	// What goes meanwhile keeps its name in the answer.
	failed, err := e.api.onEach(t.Context(), []string{web}, func(ctx context.Context, engine *core.EngineObjects, id string) error {
		if err := engine.RemoveContainer(ctx, id, core.RemoveOptions{Force: true}); err != nil {
			return err
		}
		e.known("that web is gone", has("web", ""))
		return errors.New("late")
	})
	if err != nil || len(failed) != 1 || failed[0].Name != "web" || failed[0].Message != "late" {
		t.Errorf("%+v, %v", failed, err)
	}
}

// A container that writes 20,000 lines at once neither freezes the page nor loses its last line.
func TestLogsAndShellsOfContainers(t *testing.T) {
	e := newEngineEnv(t, "web nginx:1 running\n")
	e.becomes(e.begin("app.start", `{}`), "done")
	web := e.known("the container", has("web", "running"))["web"].Object
	var log, end, shell StreamRef
	e.call("container.logOpen", fmt.Sprintf(`{"id": %q, "tail": 7}`, web), &end)
	e.reads(end.Stream, "tail 7\n")
	e.ends(end.Stream)

	e.call("container.logOpen", fmt.Sprintf(`{"id": %q, "tail": -1, "follow": true}`, web), &log)
	e.call("container.shellOpen", fmt.Sprintf(`{"id": %q, "cols": 80, "rows": 24}`, web), &shell)
	e.reads(log.Stream, "quiet\n")
	e.reads(shell.Stream, "# ")
	e.call("stream.resize", fmt.Sprintf(`{"stream": %q, "cols": 100, "rows": 30}`, shell.Stream), nil)
	e.call("stream.write", fmt.Sprintf(`{"stream": %q, "data": "hello\n"}`, shell.Stream), nil)
	e.reads(shell.Stream, "heard hello\n")
	e.call("stream.write", fmt.Sprintf(`{"stream": %q, "data": "exit\n"}`, shell.Stream), nil)
	e.ends(shell.Stream)
	e.call("stream.close", fmt.Sprintf(`{"stream": %q}`, log.Stream), nil)
	e.ends(log.Stream)
	for _, method := range []string{"container.logOpen", "container.shellOpen"} {
		params := map[string]string{"container.logOpen": `{"id": "missing", "tail": 1}`, "container.shellOpen": `{"id": "missing", "cols": 80, "rows": 24}`}[method]
		var ref StreamRef
		e.call(method, params, &ref)
		e.streams(ref.Stream, "ended", func(_ string, ended bool) bool { return ended })
		e.mu.Lock()
		if problem := e.problems[ref.Stream]; problem == nil || problem.Message == "" {
			t.Errorf("%s of no container: %+v", method, problem)
		} else {
			t.Log(problem.Message)
		}
		e.mu.Unlock()
	}
}

// client-go wrote "Copying stdout failed" to the terminal of rdd dashboard.
func TestAClosedShellLogsNothing(t *testing.T) {
	e := newEngineEnv(t, "web nginx:1 running\n")
	e.becomes(e.begin("app.start", `{}`), "done")
	web := e.known("the container", has("web", "running"))["web"].Object
	logger := klog.CaptureState()
	defer logger.Restore()
	said := make(chan string, 10)
	klog.SetLogger(funcr.New(func(_, args string) { said <- args }, funcr.Options{}))
	var shell StreamRef
	e.call("container.shellOpen", fmt.Sprintf(`{"id": %q, "cols": 80, "rows": 24}`, web), &shell)
	e.reads(shell.Stream, "# ")
	e.call("stream.close", fmt.Sprintf(`{"stream": %q}`, shell.Stream), nil)
	e.ends(shell.Stream)
	e.becomes(e.begin("app.stop", `{}`), "done")
	select {
	case line := <-said:
		t.Error(line)
	default:
	}
}
