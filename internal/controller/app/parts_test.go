package app

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/machine"
	"rancherdesktop.io/rdd/internal/templatetext"
)

// fakeMachines is a MachineManager without processes. It carries out each action at once, but a start that it holds back.
type fakeMachines struct {
	wake func(vm string)

	mu       sync.Mutex
	states   map[string]machine.State
	launched map[string]string // template of the guest that runs
	actions  []machine.Action  // of the App's VM
	hold     bool              // starts stay where they are
	fail     string            // message of the failure of the next starts, which is permanent
	asked    []string          // templates that Lima was asked about
}

func newFakeMachines() *fakeMachines {
	return &fakeMachines{wake: func(string) {}, states: map[string]machine.State{}, launched: map[string]string{}}
}

func (f *fakeMachines) Validate(_ context.Context, _ string, template []byte, _ map[string]string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, string(template))
	if r, err := templatetext.ResourcesOf(string(template)); err != nil || r.Memory == 13*gib {
		return &machine.TemplateError{Field: "memory", Message: "13 is not for us"}
	}
	return nil
}

func (f *fakeMachines) State(vm string) machine.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.states[vm]
	if !ok {
		s.Phase = machine.Absent
	}
	return s
}

func (f *fakeMachines) Do(vm string, r machine.Request) {
	f.mu.Lock()
	s := f.states[vm]
	was := s
	s.Failure, s.Progress = nil, nil
	switch r.Action {
	case machine.Prepare, machine.Stop, machine.Kill:
		s.Phase = machine.Stopped
		delete(f.launched, vm)
	case machine.Remove:
		s.Phase = machine.Absent
		delete(f.launched, vm)
	case machine.Start:
		f.start(vm, r, &s)
	}
	if vm == v1alpha1.VM && (s.Phase != was.Phase || s.Failure != nil) {
		f.actions = append(f.actions, r.Action)
	}
	f.states[vm] = s
	f.mu.Unlock()
	f.wake(vm)
}

func (f *fakeMachines) start(vm string, r machine.Request, s *machine.State) {
	switch {
	case f.fail != "":
		s.Phase, s.Failure = machine.Stopped, &machine.Failure{Action: machine.Start, Message: f.fail, Permanent: true, At: time.Now()}
	case f.hold:
		s.Phase, s.Progress = machine.Starting, &machine.Progress{Phase: "boot", Step: 6, Steps: 9}
		f.launched[vm] = string(r.Template)
	default:
		s.Phase = machine.Running
		f.launched[vm] = string(r.Template)
	}
}

func (f *fakeMachines) Forget(vm string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.states, vm)
}

func (f *fakeMachines) Removed(vm string) { f.Forget(vm) }

// set changes the fake, and wakes the controller of its VMs.
func (f *fakeMachines) set(change func()) {
	f.mu.Lock()
	change()
	f.mu.Unlock()
	f.wake(v1alpha1.VM)
}

// let lets a start that is held back end.
func (f *fakeMachines) let() {
	f.set(func() {
		f.hold = false
		s := f.states[v1alpha1.VM]
		s.Phase, s.Progress = machine.Running, nil
		f.states[v1alpha1.VM] = s
	})
}

// did lists the actions on the App's VM, and forgets them.
func (f *fakeMachines) did() []machine.Action {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.actions
	f.actions = nil
	return all
}

func (f *fakeMachines) runs(vm string) (template string, dataDisk int64, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	template, known = f.launched[vm]
	return template, 0, known
}

// fakeEngine is an engine that answers as soon as the Link says that it runs, unless it is mute.
type fakeEngine struct {
	link    *engine.Link
	changed func()

	mu      sync.Mutex
	mute    bool
	problem string // of its socket
}

// lose says why the engine's socket can't be served; empty: it is served again.
func (e *fakeEngine) lose(problem string) {
	e.mu.Lock()
	e.problem = problem
	e.mu.Unlock()
	e.changed()
}

func (e *fakeEngine) socketProblem(name v1alpha1.EngineName) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if name != v1alpha1.Moby {
		return ""
	}
	return e.problem
}

func (e *fakeEngine) State() engine.State {
	e.mu.Lock()
	defer e.mu.Unlock()
	if target, _ := e.link.Get(); target.Phase != engine.Running {
		return engine.State{}
	}
	if e.mute {
		return engine.State{Problem: "connection refused", Attempts: 1}
	}
	return engine.State{Answers: true, Version: "26.1.5", APIVersion: "1.45", Containers: 3}
}

// run tells the controller each time the Link changes, until ctx ends.
func (e *fakeEngine) run(ctx context.Context) {
	for {
		_, changed := e.link.Get()
		e.changed()
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

func (e *fakeEngine) speak(mute bool) {
	e.mu.Lock()
	e.mute = mute
	e.mu.Unlock()
	e.changed()
}

// fakeDocker are docker's files.
type fakeDocker struct {
	mu     sync.Mutex
	exists bool
	stuck  bool
	done   []string
}

func (f *fakeDocker) Ensure(_ context.Context, mode v1alpha1.DockerContextMode) (bool, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.exists, f.done = true, append(f.done, string(mode))
	if mode == v1alpha1.DockerContextAlways {
		return false, "config.json can't be changed", nil
	}
	return true, "", nil
}

func (f *fakeDocker) Remove(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stuck {
		return errors.New("read-only file system")
	}
	f.exists, f.done = false, append(f.done, "removed")
	return nil
}

func (f *fakeDocker) Exists() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.exists
}

func (f *fakeDocker) be(stuck bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stuck = stuck
}

// did lists what was done, and forgets it.
func (f *fakeDocker) did() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := slices.Clone(f.done)
	f.done = nil
	return all
}
