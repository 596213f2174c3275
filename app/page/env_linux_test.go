package page

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/lifecycle"
	"rancherdesktop.io/rdd/internal/machine/machinetest"
	"rancherdesktop.io/rdd/internal/proc"
	"rancherdesktop.io/rdd/internal/testenv"
)

// env is an instance in a home directory of its own, with a real service and a fake rdd-lima, and a page that shows it.
type env struct {
	*testing.T
	inst     instance.Instance
	lima     machinetest.Fake
	template string
	api      *API

	mu      sync.Mutex
	states  []State
	stream  map[string]*strings.Builder
	ended   map[string]bool
	arrived chan struct{}

	problems   map[string]*Problem // with which streams have ended
	engine     EngineEvent         // the last one
	containers map[string]Container
}

func newEnv(t *testing.T) *env {
	t.Helper()
	libexec := filepath.Dir(testenv.Built(t, "libexec/rdd/rddd", "make build"))
	home, err := os.MkdirTemp("", "rp") // short, because sockets live below it
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(home, "libexec", "rdd")
	e := &env{T: t, template: filepath.Join(home, "vm.yaml"), stream: map[string]*strings.Builder{}, ended: map[string]bool{}, arrived: make(chan struct{}, 1), problems: map[string]*Problem{}}
	if e.lima, err = machinetest.New(own); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(home, "bin")
	if err := errors.Join(os.Symlink(filepath.Join(libexec, "rddd"), filepath.Join(own, "rddd")), os.Mkdir(bin, 0o700),
		os.Symlink(filepath.Join(libexec, "..", "..", "bin", "rdd"), filepath.Join(bin, "rdd")), os.WriteFile(e.template, []byte("images: []\ncpus: 1\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{"HOME": home, "RDD_LIBEXEC": own, "RDD_INSTANCE": "", "XDG_DATA_HOME": "", "XDG_STATE_HOME": "", "XDG_CONFIG_HOME": "", "XDG_RUNTIME_DIR": ""} {
		t.Setenv(key, value)
	}
	if e.inst, err = instance.Resolve("default"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.end(home) })
	e.open()
	return e
}

// newEnvWithTimeout returns an env with a running service and the stopped VM demo. Operations of VMs take too long after 1 s.
func newEnvWithTimeout(t *testing.T) *env {
	t.Helper()
	e := newEnv(t)
	e.becomes(e.begin("service.start", `{}`), "done")
	e.becomes(e.begin("vm.create", `{"name": "demo", "template": %q, "start": false}`, e.template), "done")
	e.call("settings.set", `{"vmTimeout": 1}`, nil)
	return e
}

// open opens the page until the end of the test, or until the returned function is called.
func (e *env) open() (closePage func()) {
	open := func(name string) (*core.Core, error) {
		inst, err := instance.Resolve(name)
		return core.New(inst, "test"), err
	}
	c, err := open("default")
	if err != nil {
		e.Fatal(err)
	}
	api := New(Options{Core: c, Open: open, Version: "test"})
	e.api = api // another open may change it before the following functions run
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { api.Run(ctx) })
	all.Go(func() {
		for event := range api.Events(ctx) {
			e.take(event)
		}
	})
	closePage = sync.OnceFunc(func() { cancel(); all.Wait() })
	e.Cleanup(closePage)
	return closePage
}

func (e *env) take(event Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch event.Name {
	case "state":
		var s State
		if err := json.Unmarshal(event.Data, &s); err != nil {
			e.Error(err)
		}
		e.states = append(e.states, s)
	case "engine":
		e.takeEngine(event.Data)
	default:
		var s Stream
		if err := json.Unmarshal(event.Data, &s); err != nil {
			e.Error(err)
		}
		if e.stream[s.ID] == nil {
			e.stream[s.ID] = &strings.Builder{}
		}
		e.stream[s.ID].WriteString(s.Data)
		e.ended[s.ID] = e.ended[s.ID] || s.End
		if s.Problem != nil {
			e.problems[s.ID] = s.Problem
		}
	}
	select {
	case e.arrived <- struct{}{}:
	default:
	}
}

// takeEngine does what a page does with an event of the engine.
func (e *env) takeEngine(raw json.RawMessage) {
	e.engine = EngineEvent{}
	if err := json.Unmarshal(raw, &e.engine); err != nil {
		e.Error(err)
	}
	if e.engine.Reset {
		e.containers = map[string]Container{}
	}
	for _, c := range e.engine.Containers {
		e.containers[c.Object] = c
	}
	if e.engine.Removed != nil {
		for _, object := range e.engine.Removed.Containers {
			delete(e.containers, object)
		}
	}
}

// end deletes the instance, and fails the test if a process of it is left.
func (e *env) end(home string) {
	for _, setting := range []string{"boot", "stop", "qemu", "prepare", "remove"} {
		_ = e.lima.Unset(setting)
	}
	_ = e.lima.Set("stopped", "")
	_ = e.lima.Set("booted", "")
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Timeout)
	defer cancel()
	if e.Failed() {
		if text, err := os.ReadFile(e.inst.ServiceLog()); err == nil {
			e.Logf("end of the service's log:\n%s", text[max(0, len(text)-4000):])
		}
	}
	service := core.New(e.inst, "test").Service()
	if e.Failed() { // perhaps because of a guest that doesn't power off
		_, _ = service.Stop(ctx, true, core.Wait{})
	}
	if _, err := service.Delete(ctx, core.Wait{}); err != nil {
		e.Error(err)
	}
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		if line, _ := os.ReadFile(path); bytes.HasPrefix(line, []byte(home+"/")) {
			e.Errorf("left behind: %s", bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		}
	}
	if err := os.RemoveAll(home); err != nil {
		e.Error(err)
	}
}

// call calls a method that must succeed, and reads its result.
func (e *env) call(method, params string, result any) {
	e.Helper()
	raw, problem := e.api.Call(e.Context(), method, []byte(params))
	if problem != nil {
		e.Fatalf("%s %s: %+v", method, params, problem)
	}
	if result != nil {
		if err := json.Unmarshal(raw, result); err != nil {
			e.Fatalf("%s: %v: %s", method, err, raw)
		}
	}
}

// begin begins an operation and returns its ID.
func (e *env) begin(method, format string, a ...any) string {
	e.Helper()
	var ref Ref
	e.call(method, fmt.Sprintf(format, a...), &ref)
	return ref.Operation
}

// sees waits for a state that is ok and returns it. It begins with the newest state that was pushed.
func (e *env) sees(what string, ok func(State) bool) State {
	e.Helper()
	late := time.After(testenv.Timeout)
	for next := -1; ; {
		e.mu.Lock()
		if next < 0 {
			next = max(0, len(e.states)-1)
		}
		for ; next < len(e.states); next++ {
			if ok(e.states[next]) {
				defer e.mu.Unlock()
				return e.states[next]
			}
		}
		e.mu.Unlock()
		select {
		case <-e.arrived:
		case <-late:
			e.mu.Lock()
			defer e.mu.Unlock()
			last, _ := json.Marshal(e.states[len(e.states)-1])
			e.Fatalf("never seen: %s; last: %s", what, last)
		}
	}
}

// streams waits until the text of a stream, and whether the stream has ended, are ok.
func (e *env) streams(id, what string, ok func(text string, ended bool) bool) {
	e.Helper()
	late := time.After(testenv.Timeout)
	for {
		e.mu.Lock()
		text, ended := "", e.ended[id]
		if e.stream[id] != nil {
			text = e.stream[id].String()
		}
		e.mu.Unlock()
		if ok(text, ended) {
			return
		}
		select {
		case <-e.arrived:
		case <-late:
			e.Fatalf("stream %s: never %s: %q", id, what, text)
		}
	}
}

func (e *env) reads(id, want string) {
	e.Helper()
	e.streams(id, "had "+want, func(text string, _ bool) bool { return strings.Contains(text, want) })
}

func (e *env) ends(id string) {
	e.Helper()
	e.streams(id, "ended", func(_ string, ended bool) bool { return ended })
}

// becomes waits until the operation is in the state.
func (e *env) becomes(id, state string) State {
	e.Helper()
	return e.sees("operation "+id+" "+state, func(s State) bool {
		for _, o := range s.Operations {
			if o.ID == id {
				if o.State == "failed" && state != "failed" {
					e.Fatalf("operation %s failed: %+v", id, o.Problem)
				}
				return string(o.State) == state
			}
		}
		return false
	})
}

func vmIs(name, state string) func(State) bool {
	return func(s State) bool {
		for _, vm := range s.VMs {
			if vm.Name == name {
				return vm.State == state
			}
		}
		return state == ""
	}
}

// set changes what the fake rdd-lima does.
func (e *env) set(name, mode string) {
	e.Helper()
	if err := e.lima.Set(name, mode); err != nil {
		e.Fatal(err)
	}
}

// killService kills the service as a crash would.
func (e *env) killService() {
	e.Helper()
	rec, live, err := lifecycle.Find(e.inst)
	if err != nil || !live {
		e.Fatal(live, err)
	}
	if err := syscall.Kill(rec.PID, syscall.SIGKILL); err != nil {
		e.Fatal(err)
	}
	for held := true; held; {
		if held, err = proc.Held(e.inst.LockFile()); err != nil {
			e.Fatal(err)
		}
	}
}

// goroutines returns the stacks of this package's goroutines.
func goroutines() (own []string) {
	b := make([]byte, 4<<20)
	for g := range strings.SplitSeq(string(b[:runtime.Stack(b, true)]), "\n\n") {
		if strings.Contains(g, "rancherdesktop.io/rdd/app/page.(*") && !strings.Contains(g, "testing.tRunner(") {
			own = append(own, g)
		}
	}
	return own
}
