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

// hang is how long a state may take before a test calls it one that never comes.
const hang = testenv.Timeout

// box is an instance in a home directory of its own, with a real service and a stand-in for rdd-lima, and the
// page that shows it.
type box struct {
	*testing.T
	inst     instance.Instance
	stage    machinetest.Stage
	template string
	api      *API

	mu     sync.Mutex
	states []State
	stream map[string]*strings.Builder
	ended  map[string]bool
	news   chan struct{}
}

func newBox(t *testing.T) *box {
	t.Helper()
	libexec := filepath.Dir(testenv.Built(t, "libexec/rdd/rddd", "make build"))
	home, err := os.MkdirTemp("", "rp") // short, because sockets live below it
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(home, "libexec", "rdd")
	b := &box{T: t, template: filepath.Join(home, "vm.yaml"), stream: map[string]*strings.Builder{}, ended: map[string]bool{}, news: make(chan struct{}, 1)}
	if b.stage, err = machinetest.NewStage(own); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(home, "bin")
	if err := errors.Join(os.Symlink(filepath.Join(libexec, "rddd"), filepath.Join(own, "rddd")), os.Mkdir(bin, 0o700),
		os.Symlink(filepath.Join(libexec, "..", "..", "bin", "rdd"), filepath.Join(bin, "rdd")), os.WriteFile(b.template, []byte("images: []\ncpus: 1\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{"HOME": home, "RDD_LIBEXEC": own, "RDD_INSTANCE": "", "XDG_DATA_HOME": "", "XDG_STATE_HOME": "", "XDG_CONFIG_HOME": "", "XDG_RUNTIME_DIR": ""} {
		t.Setenv(key, value)
	}
	if b.inst, err = instance.Resolve("default"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.end(home) })
	b.open()
	return b
}

// open shows the page, to the end of the test or until the function that it returns is called.
func (b *box) open() (closePage func()) {
	open := func(name string) (*core.Core, error) {
		inst, err := instance.Resolve(name)
		return core.New(inst, "test"), err
	}
	c, err := open("default")
	if err != nil {
		b.Fatal(err)
	}
	api := New(Options{Core: c, Open: open, Version: "test"})
	b.api = api // which another open may change before what follows runs
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { api.Run(ctx) })
	all.Go(func() {
		for e := range api.Events(ctx) {
			b.take(e)
		}
	})
	closePage = sync.OnceFunc(func() { cancel(); all.Wait() })
	b.Cleanup(closePage)
	return closePage
}

func (b *box) take(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.Name == "state" {
		var s State
		if err := json.Unmarshal(e.Data, &s); err != nil {
			b.Error(err)
		}
		b.states = append(b.states, s)
	} else {
		var s Stream
		if err := json.Unmarshal(e.Data, &s); err != nil {
			b.Error(err)
		}
		if b.stream[s.ID] == nil {
			b.stream[s.ID] = &strings.Builder{}
		}
		b.stream[s.ID].WriteString(s.Data)
		b.ended[s.ID] = b.ended[s.ID] || s.End
	}
	select {
	case b.news <- struct{}{}:
	default:
	}
}

// end deletes the instance; no process of it may be left.
func (b *box) end(home string) {
	for _, setting := range []string{"boot", "stop", "qemu", "prepare", "remove"} {
		_ = b.stage.Unset(setting)
	}
	_ = b.stage.Set("stopped", "")
	_ = b.stage.Set("booted", "")
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	if b.Failed() {
		if text, err := os.ReadFile(b.inst.ServiceLog()); err == nil {
			b.Logf("end of the service's log:\n%s", text[max(0, len(text)-4000):])
		}
	}
	service := core.New(b.inst, "test").Service()
	if b.Failed() { // perhaps because of a guest that doesn't power off
		_, _ = service.Stop(ctx, true, core.Wait{})
	}
	if _, err := service.Delete(ctx, core.Wait{}); err != nil {
		b.Error(err)
	}
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		if line, _ := os.ReadFile(path); bytes.HasPrefix(line, []byte(home+"/")) {
			b.Errorf("left behind: %s", bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		}
	}
	if err := os.RemoveAll(home); err != nil {
		b.Error(err)
	}
}

// call calls a method, which must succeed, and reads its result.
func (b *box) call(method, params string, result any) {
	b.Helper()
	raw, problem := b.api.Call(b.Context(), method, []byte(params))
	if problem != nil {
		b.Fatalf("%s %s: %+v", method, params, problem)
	}
	if result != nil {
		if err := json.Unmarshal(raw, result); err != nil {
			b.Fatalf("%s: %v: %s", method, err, raw)
		}
	}
}

// begin begins an operation and returns its name.
func (b *box) begin(method, format string, a ...any) string {
	b.Helper()
	var ref Ref
	b.call(method, fmt.Sprintf(format, a...), &ref)
	return ref.Operation
}

// sees waits for a pushed state, from now on or the newest one, and returns it.
func (b *box) sees(what string, ok func(State) bool) State {
	b.Helper()
	late := time.After(hang)
	for next := -1; ; {
		b.mu.Lock()
		if next < 0 {
			next = max(0, len(b.states)-1)
		}
		for ; next < len(b.states); next++ {
			if ok(b.states[next]) {
				defer b.mu.Unlock()
				return b.states[next]
			}
		}
		b.mu.Unlock()
		select {
		case <-b.news:
		case <-late:
			b.mu.Lock()
			defer b.mu.Unlock()
			last, _ := json.Marshal(b.states[len(b.states)-1])
			b.Fatalf("never seen: %s; last: %s", what, last)
		}
	}
}

// streams waits until what was read of the stream, and whether it has ended, is ok.
func (b *box) streams(id, what string, ok func(text string, ended bool) bool) {
	b.Helper()
	late := time.After(hang)
	for {
		b.mu.Lock()
		text, ended := "", b.ended[id]
		if b.stream[id] != nil {
			text = b.stream[id].String()
		}
		b.mu.Unlock()
		if ok(text, ended) {
			return
		}
		select {
		case <-b.news:
		case <-late:
			b.Fatalf("stream %s: never %s: %q", id, what, text)
		}
	}
}

func (b *box) reads(id, want string) {
	b.Helper()
	b.streams(id, "had "+want, func(text string, _ bool) bool { return strings.Contains(text, want) })
}

func (b *box) ends(id string) {
	b.Helper()
	b.streams(id, "ended", func(_ string, ended bool) bool { return ended })
}

// becomes waits until the operation is in the state.
func (b *box) becomes(id, state string) State {
	b.Helper()
	return b.sees("operation "+id+" "+state, func(s State) bool {
		for _, o := range s.Operations {
			if o.ID == id {
				if o.State == "failed" && state != "failed" {
					b.Fatalf("operation %s failed: %+v", id, o.Problem)
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

// set changes how the stand-in plays.
func (b *box) set(name, mode string) {
	b.Helper()
	if err := b.stage.Set(name, mode); err != nil {
		b.Fatal(err)
	}
}

// killService kills the service as a crash would.
func (b *box) killService() {
	b.Helper()
	rec, live, err := lifecycle.Find(b.inst)
	if err != nil || !live {
		b.Fatal(live, err)
	}
	if err := syscall.Kill(rec.PID, syscall.SIGKILL); err != nil {
		b.Fatal(err)
	}
	for held := true; held; {
		if held, err = proc.Held(b.inst.LockFile()); err != nil {
			b.Fatal(err)
		}
	}
}

// goroutines are those of ours.
func goroutines() (own []string) {
	b := make([]byte, 4<<20)
	for g := range strings.SplitSeq(string(b[:runtime.Stack(b, true)]), "\n\n") {
		if strings.Contains(g, "rancherdesktop.io/rdd/app/page.(*") && !strings.Contains(g, "testing.tRunner(") {
			own = append(own, g)
		}
	}
	return own
}
