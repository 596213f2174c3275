package limavm

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/machine"
)

// fakeMachines is a MachineManager without processes. Unless it is slow, it carries out each action at once.
type fakeMachines struct {
	wake   func(vm string)
	reject func(template string, params map[string]string) error // may be nil
	refuse func(vm, template string) error                       // for the disk that the VM has; may be nil

	mu       sync.Mutex
	changed  *sync.Cond // on mu: something changed
	slow     bool       // actions go through their phases only when advanced
	states   map[string]machine.State
	under    map[string]machine.Action // the action under way
	requests map[string][]machine.Request
	forgot   []string
	checked  int // templates
}

func newFakeMachines() *fakeMachines {
	f := &fakeMachines{
		wake:   func(string) {},
		states: map[string]machine.State{}, under: map[string]machine.Action{}, requests: map[string][]machine.Request{},
	}
	f.changed = sync.NewCond(&f.mu)
	return f
}

func (f *fakeMachines) Validate(_ context.Context, vm string, template []byte, params map[string]string) error {
	f.mu.Lock()
	f.checked++
	refuse := f.refuse
	f.mu.Unlock()
	if f.reject != nil {
		if err := f.reject(string(template), params); err != nil {
			return err
		}
	}
	if refuse != nil && vm != "" {
		return refuse(vm, string(template))
	}
	return nil
}

func (f *fakeMachines) State(vm string) machine.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.states[vm]; !ok {
		f.states[vm] = machine.State{Phase: machine.Absent}
	}
	return f.states[vm]
}

func (f *fakeMachines) Do(vm string, r machine.Request) {
	f.mu.Lock()
	// As with the real workers: what is under way, or done, is not done again. A decision made from
	// the phase before may ask for it.
	done := r.Action == machine.Start && f.states[vm].Phase == machine.Running && f.under[vm] == machine.None
	if f.under[vm] == r.Action || done {
		f.mu.Unlock()
		return
	}
	f.requests[vm] = append(f.requests[vm], r)
	f.under[vm] = r.Action
	f.changed.Broadcast()
	slow := f.slow
	f.mu.Unlock()
	f.advance(vm)
	for !slow && f.busy(vm) {
		f.advance(vm)
	}
}

// advance takes the action under way one phase further.
func (f *fakeMachines) advance(vm string) {
	f.change(vm, func(s *machine.State) {
		action := f.under[vm]
		s.Failure, s.Progress = nil, nil
		switch {
		case action == machine.Stop && s.Phase != machine.Stopping:
			s.Phase = machine.Stopping
		case action == machine.Remove && s.Phase != machine.Removing:
			s.Phase = machine.Removing
		case action == machine.Remove:
			s.Phase, f.under[vm] = machine.Absent, machine.None
		case action == machine.Stop, action == machine.Kill:
			s.Phase, f.under[vm] = machine.Stopped, machine.None
		case s.Phase == machine.Absent, s.Phase == machine.Stopped:
			s.Phase = machine.Preparing
		case action == machine.Prepare:
			s.Phase, f.under[vm] = machine.Stopped, machine.None
		case action == machine.Start && s.Phase == machine.Preparing:
			s.Phase = machine.Starting
		case action == machine.Start:
			s.Phase, s.SSHPort, f.under[vm] = machine.Running, 2222, machine.None
			s.Accelerator = machine.Accelerator{Name: "tcg", Reason: "HardwareHangs", Message: "the probe did not come back"}
		}
	})
}

func (f *fakeMachines) busy(vm string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.under[vm] != machine.None
}

// change changes the state and wakes the controller, as a worker does.
func (f *fakeMachines) change(vm string, change func(*machine.State)) {
	f.mu.Lock()
	s := f.states[vm]
	change(&s)
	f.states[vm] = s
	f.changed.Broadcast()
	f.mu.Unlock()
	f.wake(vm)
}

// await waits until the worker of vm was asked n times for action.
func (f *fakeMachines) await(t *testing.T, vm string, action machine.Action, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	defer context.AfterFunc(ctx, f.changed.Broadcast)()
	f.mu.Lock()
	defer f.mu.Unlock()
	for count(f.requests[vm], action) < n {
		if ctx.Err() != nil {
			t.Fatalf("VM %q: the worker was not asked to %s %d times within %s, but %v", vm, action, n, limit, f.requests[vm])
		}
		f.changed.Wait()
	}
}

// fail ends the action under way with a failure.
func (f *fakeMachines) fail(vm string, phase machine.Phase, permanent bool) {
	f.change(vm, func(s *machine.State) {
		s.Phase = phase
		s.Failure = &machine.Failure{Action: f.under[vm], Message: "because", Permanent: permanent, At: time.Now()}
		f.under[vm] = machine.None
	})
}

// die ends the hostagent without being asked to.
func (f *fakeMachines) die(vm string) {
	f.change(vm, func(s *machine.State) {
		s.Phase = machine.Stopped
		s.Exits++
		f.under[vm] = machine.None
	})
}

func (f *fakeMachines) Forget(vm string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgot = append(f.forgot, vm)
	delete(f.states, vm)
	delete(f.under, vm)
}

func (f *fakeMachines) Removed(vm string) { f.Forget(vm) }

// asked lists the requests, in order.
func (f *fakeMachines) asked(vm string) []machine.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests[vm])
}

// actions lists what was asked for, in order.
func (f *fakeMachines) actions(vm string) []machine.Action {
	var all []machine.Action
	for _, r := range f.asked(vm) {
		all = append(all, r.Action)
	}
	return all
}

func (f *fakeMachines) count(vm string, action machine.Action) int {
	return count(f.asked(vm), action)
}

func count(requests []machine.Request, action machine.Action) int {
	n := 0
	for _, r := range requests {
		if r.Action == action {
			n++
		}
	}
	return n
}

func (f *fakeMachines) forgotten(vm string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.forgot, vm)
}

func (f *fakeMachines) beSlow(slow bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.slow = slow
}
