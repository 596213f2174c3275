package operation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/instance"
)

// newEngine returns an engine for an instance that doesn't exist, for use in a synctest bubble.
func newEngine(t *testing.T) *Engine {
	t.Helper()
	ids := 0
	return New(Options{
		Core: core.New(instance.At(t.TempDir(), "default", ""), "test"), Changed: func() {},
		Go:    func(job func(context.Context)) error { go job(t.Context()); return nil },
		NewID: func() string { ids++; return fmt.Sprint(ids) },
	})
}

// endless is work that never ends by itself. It is overdue after a minute.
func endless(verb Verb, object string) Work {
	return Work{Verb: verb, Object: object, Timeout: time.Minute, Run: func(ctx context.Context, w core.Wait) error {
		for {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(w.Timeout):
			}
			if w.Overdue(ctx, w.Timeout) == 0 {
				return context.DeadlineExceeded
			}
		}
	}}
}

func states(e *Engine) (all []string) {
	for _, o := range e.List().Operations() {
		all = append(all, fmt.Sprintf("%s %s %s", o.Verb, o.Object, o.State))
	}
	return all
}

func begin(t *testing.T, e *Engine, w Work) string {
	t.Helper()
	id, err := e.Begin(w)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return id
}

// The second click of a double click begins no other operation. An operation for another state replaces the first one.
func TestOneOperationAtATimeOnAnObject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		first := begin(t, e, endless(Start, "demo"))
		if again := begin(t, e, endless(Start, "demo")); again != first {
			t.Error("the VM was started twice")
		}
		begin(t, e, endless(Start, "web"))
		begin(t, e, endless(Change, "demo"))
		begin(t, e, endless(StartService, "demo")) // an instance of the same name
		begin(t, e, endless(Stop, "demo"))
		begin(t, e, endless(ForceStop, "demo"))
		want := []string{
			"start demo abandoned", "start web running", "change demo running", "start-service demo running",
			"stop demo abandoned", "force-stop demo running",
		}
		if got := states(e); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

func TestTheQuestionAboutALateOperation(t *testing.T) {
	for _, tc := range []struct {
		answer Answer
		want   string
	}{
		{KeepWaiting, "stop demo running"}, {Force, "stop demo running"}, {StopWaiting, "stop demo abandoned"},
	} {
		synctest.Test(t, func(t *testing.T) {
			e, forced := newEngine(t), false
			w := endless(Stop, "demo")
			w.Loses, w.Force = "all", func(context.Context) error { forced = true; return nil }
			id := begin(t, e, w)
			time.Sleep(time.Minute + time.Second)
			if q := e.List().Question(); q == nil || q.Operation != id {
				t.Fatalf("%+v", q)
			}
			if err := e.Answer(id, tc.answer); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got := states(e); !slices.Equal(got, []string{tc.want}) || forced != (tc.answer == Force) {
				t.Errorf("%s: %q, forced %t", tc.answer, got, forced)
			}
			if err := e.Answer(id, KeepWaiting); core.KindOf(err) != core.Rejected {
				t.Errorf("an answer without a question: %v", err)
			}
		})
	}
}

func TestForcingAStartStopsTheVM(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		w := e.StartVM("demo")
		w.Timeout, w.Run = time.Minute, endless(Start, "demo").Run
		id := begin(t, e, w)
		time.Sleep(time.Minute + time.Second)
		if err := e.Answer(id, Force); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := states(e); len(got) != 2 || got[0] != "start demo abandoned" || !strings.HasPrefix(got[1], "force-stop demo ") {
			t.Errorf("%q", got)
		}
	})
}

func TestAFailedForceIsTheProblemOfTheOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		w := endless(Stop, "demo")
		w.Loses, w.Force = "all", func(context.Context) error { return errors.New("no") }
		id := begin(t, e, w)
		time.Sleep(time.Minute + time.Second)
		if err := e.Answer(id, Force); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if o, _ := e.List().Find(id); o.State != Failed || o.Problem.Message != "force stop: no" {
			t.Errorf("%+v %+v", o, o.Problem)
		}
	})
}

func TestCancelUndoesWhatCanBeUndone(t *testing.T) {
	for _, tc := range []struct {
		o      Operation
		remove bool
		want   Verb
	}{
		{Operation{Verb: Start, Object: "demo"}, false, Stop},
		{Operation{Verb: Create, Object: "demo"}, false, Stop},
		{Operation{Verb: Create, Object: "demo"}, true, Delete},
		{Operation{Verb: StartService, Object: "default"}, false, StopService},
		{Operation{Verb: Stop, Object: "demo"}, false, ""},
	} {
		w, ok := newEngine(t).undo(tc.o, nil, tc.remove)
		if ok != (tc.want != "") || ok && w.Verb != tc.want {
			t.Errorf("%+v, remove %t: %t, %q, want %q", tc.o, tc.remove, ok, w.Verb, tc.want)
		}
	}
}

// The creation is canceled during its request, so it is not known yet whether it creates the VM.
func TestACanceledCreationIsUndoneAfterItHasEnded(t *testing.T) {
	running := &core.VM{}
	running.Spec.Running = true
	for _, tc := range []struct {
		made   *core.VM
		remove bool
		undone bool
	}{
		{running, true, true}, {running, false, true}, {&core.VM{}, true, true}, {&core.VM{}, false, false}, {nil, true, false}, {nil, false, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			e, answered := newEngine(t), make(chan struct{})
			var made *core.VM
			id := begin(t, e, Work{Verb: Create, Object: "demo", Created: func() *core.VM { return made }, Run: func(ctx context.Context, _ core.Wait) error {
				<-answered
				made = tc.made
				return context.Cause(ctx)
			}})
			undo, err := e.Cancel(id, tc.remove)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if o, _ := e.List().Find(undo); !o.Waited() {
				t.Fatalf("%+v: the undo has ended before the creation: %+v", tc, o)
			}
			close(answered)
			synctest.Wait()
			// There is no service, so an undo fails.
			if o, _ := e.List().Find(undo); (o.State == Failed) != tc.undone || o.Waited() {
				t.Errorf("%+v: %+v", tc, o)
			}
		})
	}
}

func TestTheSettingsHaveTheTimeouts(t *testing.T) {
	e := newEngine(t)
	c := e.options.Core
	timeouts := func() []time.Duration {
		return []time.Duration{e.StartService().Timeout, e.StopService().Timeout, e.StartVM("demo").Timeout, e.StopVM("demo").Timeout}
	}
	if got := timeouts(); !slices.Equal(got, []time.Duration{90 * time.Second, 90 * time.Second, 5 * time.Minute, 5 * time.Minute}) {
		t.Errorf("by default: %v", got)
	}
	settings, err := c.Settings()
	settings.ServiceTimeout, settings.VMTimeout = 10, 0
	if err := errors.Join(err, c.Instance().Create(), c.SetSettings(settings)); err != nil {
		t.Fatal(err)
	}
	if got := timeouts(); !slices.Equal(got, []time.Duration{10 * time.Second, 10 * time.Second, 0, 0}) {
		t.Errorf("with settings: %v", got)
	}
}

// The page reads the list while it holds the lock of NewID.
func TestNewIDIsCalledWithoutALockOnTheList(t *testing.T) {
	e := newEngine(t)
	newID := e.options.NewID
	e.options.NewID = func() string {
		read := make(chan List)
		go func() { read <- e.List() }()
		select {
		case <-read:
		case <-time.After(10 * time.Second):
			t.Error("the list can't be read during NewID")
		}
		return newID()
	}
	if err := e.Run(t.Context(), Work{Verb: Start, Object: "demo", Run: func(context.Context, core.Wait) error { return nil }}); err != nil {
		t.Fatal(err)
	}
}
