package page

import (
	"context"
	"fmt"

	"rancherdesktop.io/rdd/app/operation"
	"rancherdesktop.io/rdd/core"
)

// Follow shows an operation that another client has begun on a VM, such as the tray, as an operation of the page:
// its progress, its question when it takes too long, its failure. It changes nothing. An operation that the page
// already waits for is returned.
func (a *API) Follow(verb operation.Verb, vm string) (Ref, error) {
	log := core.LogHostagent
	switch verb {
	case operation.Start, operation.Restart, operation.Reset:
		log = core.LogSerial
	case operation.Create, operation.Stop, operation.ForceStop, operation.Delete, operation.Change:
	case operation.StartService, operation.StopService, operation.RestartService, operation.ResetService, operation.DeleteService, operation.Repair, operation.Restore:
		return Ref{}, fmt.Errorf("operation %q does not work on a virtual machine", verb)
	default:
		return Ref{}, fmt.Errorf("unknown operation %q", verb)
	}
	engine := a.current().engine
	follow := func(ctx context.Context, vms *core.VMs, w core.Wait) error { return vms.Follow(ctx, vm, w) }
	w := engine.StoppingVM(verb, vm, log, follow)
	if verb == operation.Start || verb == operation.Create {
		w = engine.BootingVM(verb, vm, log, follow)
	}
	id, err := engine.Begin(w)
	return Ref{id}, err
}

// Operations are those of each instance that was shown.
func (a *API) Operations() (all []operation.List) {
	for _, e := range a.engines() {
		all = append(all, e.List())
	}
	return all
}

func (a *API) engines() (all []*operation.Engine) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, view := range a.views {
		all = append(all, view.engine)
	}
	return all
}

// Answer answers the question of an operation, of whichever instance.
func (a *API) Answer(id string, answer operation.Answer) error {
	engine := a.current().engine
	for _, e := range a.engines() {
		if _, has := e.List().Find(id); has {
			engine = e
		}
	}
	return engine.Answer(id, answer)
}
