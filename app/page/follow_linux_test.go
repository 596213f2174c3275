package page

import (
	"testing"

	"rancherdesktop.io/rdd/app/operation"
	"rancherdesktop.io/rdd/core"
)

// The page shows the progress, the question and the end of an operation that another client has begun, such as the tray.
func TestOperationsOfOtherClientsAreFollowed(t *testing.T) {
	e := newEnvWithTimeout(t)
	follow := func(verb operation.Verb) string {
		t.Helper()
		ref, err := e.api.Follow(verb, "demo")
		if err != nil {
			t.Fatal(err)
		}
		return ref.Operation
	}
	session, err := core.New(e.inst, "test").Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := func(do func(*core.VMs) error) {
		t.Helper()
		if err := do(session.VMs()); err != nil {
			t.Fatal(err)
		}
	}
	start := func(v *core.VMs) error { return v.Start(t.Context(), "demo", core.Wait{Accepted: true}) }
	remove := func(v *core.VMs) error { return v.Delete(t.Context(), "demo", core.Wait{Accepted: true}) }

	e.set("boot", "late")
	elsewhere(start)
	id := follow(operation.Start)
	if again := follow(operation.Start); again != id {
		t.Errorf("followed twice: %s and %s", id, again)
	}
	e.sees("a question", func(s State) bool { return s.Question != nil && s.Question.Operation == id && s.Question.Force != "" })
	e.set("booted", "")
	e.becomes(id, "done")
	e.sees("a VM that runs", vmIs("demo", "Running"))
	e.becomes(follow(operation.Start), "done") // nothing is left to wait for

	_ = e.lima.Unset("booted")
	elsewhere(func(v *core.VMs) error { return v.Restart(t.Context(), "demo", false, core.Wait{Accepted: true}) })
	id = follow(operation.Restart)
	e.sees("a question", func(s State) bool { return s.Question != nil && s.Question.Operation == id })
	e.call("operation.answer", `{"id": "`+id+`", "answer": "force"}`, nil)
	e.set("booted", "")
	e.becomes(id, "done")

	e.set("remove", "2s")
	elsewhere(remove)
	e.becomes(follow(operation.Delete), "done")
	e.sees("no VM", vmIs("demo", ""))
	e.becomes(follow(operation.Start), "failed") // there is nothing to follow
	for _, verb := range []operation.Verb{operation.StopService, "party"} {
		if ref, err := e.api.Follow(verb, "demo"); err == nil {
			t.Errorf("%s: %+v", verb, ref)
		}
	}
}
