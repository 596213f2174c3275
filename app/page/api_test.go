package page

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/machine/machinetest"
)

func TestMain(m *testing.M) {
	machinetest.Main()
	os.Exit(m.Run())
}

// newTestAPI is an API of an instance that doesn't exist.
func newTestAPI(t *testing.T) *API {
	t.Helper()
	root := t.TempDir()
	open := func(name string) (*core.Core, error) {
		if name == "BAD" {
			return nil, errors.New("no instance is called so")
		}
		return core.New(instance.At(root, name, root), "test"), nil
	}
	c, err := open("default")
	if err != nil {
		t.Fatal(err)
	}
	return New(Options{Core: c, Open: open, Version: "test"})
}

func TestUnknownAndForbiddenMethods(t *testing.T) {
	a := newTestAPI(t)
	if _, problem := a.Call(t.Context(), "vm.fly", nil); problem == nil || problem.Kind != "not-found" {
		t.Error(problem)
	}
	a.options.ReadOnly = true
	for _, m := range Methods() {
		if !m.changes {
			continue
		}
		if _, problem := a.Call(t.Context(), m.Name, []byte("{}")); problem == nil || problem.Kind != "rejected" {
			t.Errorf("%s in a read-only page: %+v", m.Name, problem)
		}
	}
}

func TestStateIsPushedAtOnceAndThenAtMostEvery50ms(t *testing.T) {
	a := newTestAPI(t)
	synctest.Test(t, func(t *testing.T) {
		a.ended, a.events = make(chan struct{}), newBroadcaster() // channels of this bubble
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		var at []time.Duration
		done := make(chan struct{})
		go func() {
			defer close(done)
			for e := range a.Events(ctx) {
				if e.Name == "state" {
					at = append(at, time.Since(began))
				}
			}
		}()
		synctest.Wait()
		for range 100 { // 100 changes in 1 s
			time.Sleep(10 * time.Millisecond)
			a.events.changed()
		}
		time.Sleep(time.Second)
		close(a.ended)
		cancel()
		<-done
		if len(at) < 2 || at[0] != 0 || at[1] != stateInterval || len(at) > 22 || len(at) < 20 {
			t.Errorf("states at %v", at)
		}
	})
}

func TestASlowSubscriberGetsTheNewestState(t *testing.T) {
	a := newTestAPI(t)
	n := 0
	for e := range a.Events(t.Context()) {
		n++
		if n == 1 { // while this one is drawn, much happens
			for i := range 50 {
				a.change(func() { a.shown.settings.ServiceTimeout = i })
			}
			continue
		}
		var s State
		if err := json.Unmarshal(e.Data, &s); err != nil || s.Settings.ServiceTimeout != 49 {
			t.Error(s.Settings, err)
		}
		return
	}
}

// partOf returns the part of a stream that an event carries.
func partOf(t *testing.T, e Event) (s Stream, ok bool) {
	t.Helper()
	if e.Name != "stream" {
		return s, false
	}
	if err := json.Unmarshal(e.Data, &s); err != nil {
		t.Fatal(err)
	}
	return s, true
}

func TestAStreamWaitsForASlowSubscriberAndLosesNothing(t *testing.T) {
	a := newTestAPI(t)
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() { defer close(ran); a.Run(ctx) }()
	const lines = 50_000
	var written int
	ref, err := a.open(nil, func(_ context.Context, deliver func([]byte) error) error {
		for written = range lines {
			if err := deliver(fmt.Appendf(nil, "line %d é\n", written)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	most := 0
	for e := range a.Events(ctx) {
		s, ok := partOf(t, e)
		if !ok {
			continue
		}
		most = max(most, len(s.Data))
		text.WriteString(s.Data)
		if s.ID != ref.Stream || s.Problem != nil {
			t.Fatal(s)
		}
		if s.End {
			break
		}
	}
	want := 0
	for line := range strings.Lines(text.String()) {
		if line != fmt.Sprintf("line %d é\n", want) {
			t.Fatalf("got %q for line %d", line, want)
		}
		want++
	}
	if want != lines || most > maxPartSize*(maxQueuedParts+1) {
		t.Errorf("%d lines, parts of up to %d bytes", want, most)
	}
	cancel()
	<-ran
}

func TestASubscriberThatReadsNothingIsDisconnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := newBroadcaster()
		stuck, fine := events.subscribe(), events.subscribe()
		got := 0
		go func() {
			for range fine.parts {
				got++
			}
		}()
		began := time.Now()
		for range 2 * maxQueuedParts {
			if err := events.deliver(t.Context(), Stream{ID: "1", Data: "x"}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if took := time.Since(began); took != subscriberTimeout {
			t.Errorf("others waited for %s", took)
		}
		select {
		case <-stuck.gone:
		default:
			t.Error("it is still subscribed")
		}
		if got != 2*maxQueuedParts {
			t.Errorf("the other one got %d of %d parts", got, 2*maxQueuedParts)
		}
		if events.unsubscribe(stuck) || !events.unsubscribe(fine) {
			t.Error("only the end of the other one is the end of the last one")
		}
		close(fine.parts)
	})
}

func TestStreamsEndAMinuteAfterTheLastPage(t *testing.T) {
	a := newTestAPI(t)
	synctest.Test(t, func(t *testing.T) {
		a.ended, a.jobs, a.events = make(chan struct{}), make(chan func(context.Context)), newBroadcaster()
		a.shown.core = core.New(instance.At(t.TempDir(), "default", ""), "test")
		ctx, cancel := context.WithCancel(t.Context())
		go func() { // Run without the watch, which waits for the system
			for {
				select {
				case <-ctx.Done():
					close(a.ended)
					return
				case job := <-a.jobs:
					go job(ctx)
				}
			}
		}()
		var cause error
		closed := make(chan time.Time, 1)
		if _, err := a.open(nil, func(ctx context.Context, _ func([]byte) error) error {
			<-ctx.Done()
			cause = context.Cause(ctx)
			closed <- time.Now()
			return cause
		}); err != nil {
			t.Fatal(err)
		}
		for range a.Events(ctx) { // a page that closes at once
			break
		}
		left := time.Now()
		if took := (<-closed).Sub(left); took != unwatchedTimeout {
			t.Error(took, cause)
		}
		cancel()
		synctest.Wait()
	})
}

func TestALogThatGrowsFasterThanItIsShownLosesItsBeginning(t *testing.T) {
	tail := newTail()
	const lines = 100_000
	for i := range lines {
		if _, err := fmt.Fprintf(tail, "line %d\n", i); err != nil {
			t.Fatal(err)
		}
	}
	tail.end(nil)
	text, err := tail.next(t.Context())
	if err != nil || len(text) > 2*maxTail+100 {
		t.Fatal(len(text), err)
	}
	var lost, first int
	if _, err := fmt.Sscanf(string(text), "… %d lines skipped …\nline %d\n", &lost, &first); err != nil || lost != first || lost == 0 {
		t.Errorf("%d lines lost, the first one is %d: %v", lost, first, err)
	}
	if !strings.HasSuffix(string(text), fmt.Sprintf("line %d\n", lines-1)) {
		t.Errorf("it ends with %q", text[len(text)-20:])
	}
	if _, err := tail.next(t.Context()); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

func TestTextThatIsCutWithinACharacterIsJoined(t *testing.T) {
	for _, text := range []string{"héllo wörld", "日本語", "a😀b", "plain", ""} {
		for size := 1; size <= 4; size++ {
			var got strings.Builder
			var rest []byte
			for b := []byte(text); len(b) > 0; {
				n := min(size, len(b))
				var part string
				part, rest = printable(append(rest, b[:n]...))
				got.WriteString(part)
				b = b[n:]
			}
			if got.String() != text || len(rest) > 0 {
				t.Errorf("%q in parts of %d: %q, rest %q", text, size, &got, rest)
			}
		}
	}
	if text, _ := printable([]byte("a\xffb")); text != "a\uFFFDb" {
		t.Errorf("%q", text)
	}
}

func TestCallsAfterTheEndSaySo(t *testing.T) {
	a := newTestAPI(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a.Run(ctx)
	if _, problem := a.Call(t.Context(), "service.start", []byte("{}")); problem == nil || problem.Kind != "canceled" {
		t.Error(problem)
	}
}

func TestSettingsOfThePage(t *testing.T) {
	a := newTestAPI(t)
	call := func(params string) (Settings, *Problem) {
		var s Settings
		b, problem := a.Call(t.Context(), "settings.set", []byte(params))
		if problem == nil {
			if err := json.Unmarshal(b, &s); err != nil {
				t.Fatal(err)
			}
		}
		return s, problem
	}
	s, problem := call(`{"theme": "dark", "vmTimeout": 0}`)
	if problem != nil || s.Theme != "dark" || s.VMTimeout != 0 || s.ServiceTimeout != 90 || s != a.State().Settings {
		t.Errorf("%+v, %+v", s, problem)
	}
	for params, field := range map[string]string{`{"theme": "loud"}`: "theme", `{"vmTimeout": -1}`: "vmTimeout", `{"onQuit": 1}`: "onQuit", `{"sound": true}`: "sound"} {
		if _, problem := call(params); problem == nil || problem.Kind != "usage" || problem.Field != field {
			t.Errorf("%s: %+v", params, problem)
		}
	}
	if got := a.State().Settings; got != s {
		t.Errorf("%+v after refused changes", got)
	}
}
