package page

import (
	"context"
	"slices"
	"sync"
	"time"

	"rancherdesktop.io/rdd/app/operation"
	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/diagnose"
)

// watch follows an instance until another one is shown, or ctx ends.
func (a *API) watch(ctx context.Context, view *instanceView, left <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-left:
			cancel()
		case <-ctx.Done():
		}
	}()
	a.loadSettings(view)
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { a.watchEngine(ctx, view) })
	all.Go(func() { a.watchContext(ctx, view) })
	for snapshot := range view.core.Watch(ctx) {
		vms := view.describe(ctx, snapshot.VMs)
		app := view.describeApp(snapshot)
		instances := instances(view.name())
		a.change(func() {
			view.snapshot, view.app = &snapshot, app
			view.service, view.vms, view.vmsKnown, view.instances = snapshot.Service, vms, snapshot.VMs != nil, instances
			view.problem = nil
			if snapshot.Err != nil {
				view.problem = problemOf(snapshot.Err)
			}
			view.show(view.objects.objects)
			select {
			case <-view.seen:
			default:
				close(view.seen)
			}
		})
		a.events.engineChanged()
	}
}

// watchEngine follows the engine's objects.
func (a *API) watchEngine(ctx context.Context, view *instanceView) {
	for objects := range view.core.WatchEngine(ctx) {
		a.mu.Lock()
		counts := view.counts()
		view.show(objects)
		counted := counts != view.counts()
		a.mu.Unlock()
		if a.events.engineChanged(); counted {
			a.events.changed()
		}
	}
}

// show takes the engine's objects.
func (view *instanceView) show(objects core.EngineSnapshot) {
	if view.snapshot == nil {
		view.objects = engineView{objects: objects}
		return
	}
	view.objects = viewOf(*view.snapshot, objects)
	if view.app != nil {
		app := *view.app
		app.Counts = view.counts()
		view.app = &app
	}
}

// instances lists the instances that exist, including the shown one.
func instances(shown string) []string {
	names, _ := core.Instances() // a directory that can't be read has no instances
	if !slices.Contains(names, shown) {
		names = append(names, shown)
	}
	slices.Sort(names)
	return names
}

// describe returns VMs as the page shows them.
func (view *instanceView) describe(ctx context.Context, vms []core.VM) []VM {
	all := make([]VM, 0, len(vms))
	for i := range vms {
		vm := &vms[i]
		d := core.Describe(vm)
		_, permanent := vm.Failure()
		v := VM{
			Name: vm.Name, State: d.State, Running: vm.Spec.Running, Permanent: permanent, Acceleration: d.Acceleration,
			Restarts: int(vm.Status.RestartCount), Created: vm.CreationTimestamp.Time, SSHPort: int(vm.Status.SSHPort), CanEnter: core.CanEnter(vm),
			RestartNeeded: append([]string{}, view.pending.Changes(ctx, view.core, vm)...),
		}
		v.Problem, v.Advice = diagnose.Explain(d.Problem)
		v.Progress = progressOf(vm.Status.Progress)
		all = append(all, v)
	}
	return all
}

// progressOf returns a step as the page shows it; nil if there is none.
func progressOf(s *core.VMProgress) *operation.Progress {
	if s == nil {
		return nil
	}
	return &operation.Progress{
		Phase: s.Phase, Step: int(s.Step), Steps: int(s.Steps), Bytes: s.Bytes, Total: s.Total, Message: s.Message,
		Elapsed: since(s.StartedAt.Time),
	}
}

// since returns the seconds since t; 0 if t is unknown.
func since(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(0, time.Since(t).Seconds())
}
