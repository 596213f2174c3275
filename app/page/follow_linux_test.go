package page

import (
	"testing"
	"time"

	"rancherdesktop.io/rdd/app/operation"
	"rancherdesktop.io/rdd/core"
)

// What was begun elsewhere, as in the tray, has its progress, its question and its end at the page, too.
func TestWhatOthersAskedForIsFollowed(t *testing.T) {
	b := newBox(t)
	b.becomes(b.begin("service.start", `{}`), "done")
	b.becomes(b.begin("vm.create", `{"name": "demo", "template": %q, "start": false}`, b.template), "done")
	b.call("settings.set", `{"vmTimeout": 1}`, nil)
	follow := func(verb operation.Verb) string {
		t.Helper()
		ref, err := b.api.Follow(verb, "demo")
		if err != nil {
			t.Fatal(err)
		}
		return ref.Operation
	}
	session, err := core.New(b.inst, "test").Connect(t.Context())
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

	b.set("boot", "late")
	elsewhere(start)
	id := follow(operation.Start)
	if again := follow(operation.Start); again != id {
		t.Errorf("followed twice: %s and %s", id, again)
	}
	b.sees("a question", func(s State) bool { return s.Question != nil && s.Question.Operation == id && s.Question.Force != "" })
	b.set("booted", "")
	b.becomes(id, "done")
	b.sees("a VM that runs", vmIs("demo", "Running"))
	b.becomes(follow(operation.Start), "done") // nothing is left to wait for

	_ = b.stage.Unset("booted")
	elsewhere(func(v *core.VMs) error { return v.Restart(t.Context(), "demo", false, core.Wait{Accepted: true}) })
	id = follow(operation.Restart)
	b.sees("a question", func(s State) bool { return s.Question != nil && s.Question.Operation == id })
	b.call("operation.answer", `{"id": "`+id+`", "answer": "force"}`, nil)
	b.set("booted", "")
	b.becomes(id, "done")

	b.set("remove", (300 * time.Millisecond).String())
	elsewhere(remove)
	b.becomes(follow(operation.Delete), "done")
	b.sees("no VM", vmIs("demo", ""))
	b.becomes(follow(operation.Start), "failed") // there is nothing to follow
	for _, verb := range []operation.Verb{operation.StopService, "party"} {
		if ref, err := b.api.Follow(verb, "demo"); err == nil {
			t.Errorf("%s: %+v", verb, ref)
		}
	}
}
