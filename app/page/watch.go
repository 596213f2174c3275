package page

import (
	"context"
	"slices"

	"rancherdesktop.io/rdd/app/dialog"
	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/diagnose"
)

// watch follows a place until that is left, or ctx ends.
func (a *API) watch(ctx context.Context, p *place, left <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-left:
			cancel()
		case <-ctx.Done():
		}
	}()
	a.loadSettings(p)
	for snapshot := range p.core.Watch(ctx) {
		vms := p.describe(ctx, snapshot.VMs)
		instances := instances(p.name())
		a.change(func() {
			p.service, p.vms, p.vmsKnown, p.instances = snapshot.Service, vms, snapshot.VMs != nil, instances
			p.problem = nil
			if snapshot.Err != nil {
				p.problem = problemOf(snapshot.Err)
			}
			select {
			case <-p.seen:
			default:
				close(p.seen)
			}
		})
	}
}

// instances lists the instances that exist, and the one that is shown.
func instances(shown string) []string {
	names, _ := core.Instances() // a directory that can't be read has none to offer
	if !slices.Contains(names, shown) {
		names = append(names, shown)
	}
	slices.Sort(names)
	return names
}

// describe puts VMs into words.
func (p *place) describe(ctx context.Context, vms []core.VM) []VM {
	all := make([]VM, 0, len(vms))
	for i := range vms {
		vm := &vms[i]
		d := core.Describe(vm)
		_, permanent := vm.Failure()
		v := VM{
			Name: vm.Name, State: d.State, Running: vm.Spec.Running, Permanent: permanent, Acceleration: d.Acceleration,
			Restarts: int(vm.Status.RestartCount), Created: vm.CreationTimestamp.Time, SSHPort: int(vm.Status.SSHPort), CanEnter: core.CanEnter(vm),
			RestartNeeded: append([]string{}, p.pending.Changes(ctx, p.core, vm)...),
		}
		v.Problem, v.Advice = diagnose.Explain(d.Problem)
		if s := vm.Status.Progress; s != nil {
			v.Progress = &dialog.Progress{
				Phase: s.Phase, Step: int(s.Step), Steps: int(s.Steps), Bytes: s.Bytes, Total: s.Total, Message: s.Message,
				Elapsed: since(s.StartedAt.Time),
			}
		}
		all = append(all, v)
	}
	return all
}

// loadSettings reads the settings, and what starts at login.
func (a *API) loadSettings(p *place) {
	settings, err := p.core.Settings()
	login := p.core.Login().Status()
	starts := func(part core.LoginPart) bool {
		return slices.ContainsFunc(login, func(s core.LoginStatus) bool { return s.Part == part && s.Installed })
	}
	a.change(func() {
		p.login = login
		p.settings = Settings{settings, starts(core.LoginService), starts(core.LoginTray)}
		p.settingsProblem = nil
		if err != nil {
			p.settingsProblem = problemOf(err)
		}
	})
}
