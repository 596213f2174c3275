package page

import (
	"encoding/json"
	"errors"
	"testing"

	"rancherdesktop.io/rdd/core"
)

func containerNamed(name string) *core.Container {
	c := &core.Container{}
	c.Name, c.Status.ID, c.Status.Name = "id-"+name, "id-"+name, name
	return c
}

// summary is what matters of an event.
func summary(t *testing.T, raw json.RawMessage) string {
	t.Helper()
	if raw == nil {
		return ""
	}
	var e EngineEvent
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Fatal(err)
	}
	text := ""
	if e.Reset {
		text = "reset "
	}
	for _, c := range e.Containers {
		text += "+" + c.Object + " "
	}
	for _, v := range e.Volumes {
		text += "+volume " + v.Object + " "
	}
	if e.Removed != nil {
		for _, name := range e.Removed.Containers {
			text += "-" + name + " "
		}
	}
	if e.Problem != nil {
		text += e.Problem.Message
	}
	return text + e.Reason
}

// A page gets all objects once, then what changes, whatever happened between two events.
func TestEngineEventsHaveWhatHasChanged(t *testing.T) {
	one, two, three := &instanceView{}, &instanceView{}, containerNamed("three")
	a, b, b2 := containerNamed("a"), containerNamed("b"), containerNamed("b")
	known := func(objects ...*core.Container) engineView {
		return engineView{known: true, objects: core.EngineSnapshot{Containers: objects}}
	}
	withVolume := known(a, b2, three)
	withVolume.objects.Volumes = []*core.Volume{{}}
	withVolume.objects.Volumes[0].Name = "v"
	var sent sentEngine
	for i, tc := range []struct {
		of   *instanceView
		now  engineView
		want string
	}{
		{one, known(a, b), "reset +id-a +id-b "},
		{one, known(a, b), ""},
		{one, known(a, b2), "+id-b "},
		{one, known(b2, three), "+id-three -id-a "},
		{one, withVolume, "+id-a +volume v "},
		{one, engineView{reason: "stopped"}, "-id-a -id-b -id-three stopped"},
		{one, engineView{reason: "stopped"}, ""},
		{one, engineView{problem: &Problem{Message: "broken"}}, "broken"},
		{one, engineView{problem: &Problem{Message: "broken"}}, ""},
		{two, engineView{reason: "stopped"}, "reset stopped"}, // another instance
		{two, known(a), "+id-a "},
	} {
		raw, err := sent.event(tc.of, tc.now)
		if got := summary(t, raw); err != nil || got != tc.want {
			t.Errorf("event %d: %q, want %q (%v)", i, got, tc.want, err)
		}
	}
}

func TestEngineSaysWhyNothingIsKnown(t *testing.T) {
	running := core.ServiceStatus{State: core.ServiceRunning}
	for _, tc := range []struct {
		service core.ServiceStatus
		objects core.EngineSnapshot
		want    string
	}{
		{core.ServiceStatus{State: core.ServiceNotCreated}, core.EngineSnapshot{}, "There is no container engine yet."},
		{core.ServiceStatus{State: core.ServiceStopped}, core.EngineSnapshot{Err: errors.New("not running")}, "The container engine is stopped."},
		{core.ServiceStatus{State: core.ServiceBroken, Error: "no disk"}, core.EngineSnapshot{}, "problem: the service is broken: no disk"},
		{running, core.EngineSnapshot{}, "There is no container engine yet."},
	} {
		v := viewOf(core.Snapshot{Service: tc.service}, tc.objects)
		got := v.reason
		if v.problem != nil {
			got = "problem: " + v.problem.Message
		}
		if v.known || got != tc.want {
			t.Errorf("%s: %q, want %q", tc.service.State, got, tc.want)
		}
	}
}

func TestAChangeOfTheAppIsAMergePatch(t *testing.T) {
	for _, tc := range []struct{ raw, want string }{
		{`{}`, `{}`},
		{`{"cpus": 4, "memory": 8589934592}`, `{"virtualMachine":{"cpus":4,"memory":"8Gi"}}`},
		{`{"cpus": null, "disk": 4831838208, "mounts": []}`, `{"virtualMachine":{"cpus":null,"disk":"4608Mi","mounts":[]}}`},
		{`{"engine": "moby", "dockerContext": null, "start": true}`, `{"containerEngine":{"dockerContext":null,"name":"moby"}}`},
		{`{"mounts": [{"path": "~", "writable": true}], "bindAddresses": ["0.0.0.0"]}`, `{"ports":{"bindAddresses":["0.0.0.0"]},"virtualMachine":{"mounts":[{"path":"~","writable":true}]}}`},
	} {
		var change AppChange
		if err := decode([]byte(tc.raw), &change); err != nil {
			t.Errorf("%s: %v", tc.raw, err)
			continue
		}
		if got, err := json.Marshal(change.spec()); err != nil || string(got) != tc.want {
			t.Errorf("%s: %s, want %s (%v)", tc.raw, got, tc.want, err)
		}
	}
	for _, tc := range []struct{ raw, field string }{{`{"cpus": "four"}`, "cpus"}, {`{"memory": 1.5}`, "memory"}, {`{"colour": 1}`, "colour"}, {`{"start": null}`, ""}} {
		var change AppChange
		if problem := decode([]byte(tc.raw), &change); (problem == nil) != (tc.field == "") || problem != nil && problemOf(problem).Field != tc.field {
			t.Errorf("%s: %v", tc.raw, problem)
		}
	}
}
