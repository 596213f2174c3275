package page

import (
	"context"
	"fmt"
	"slices"

	"rancherdesktop.io/rdd/app/dialog"
	"rancherdesktop.io/rdd/core"
)

// Follow shows what somebody else has asked of a VM, such as a click in the tray, as an operation of the page's
// own: its progress, the question when it is late, its failure. It asks nothing of the VM. What the page waits
// for already is not waited for twice.
func (a *API) Follow(verb dialog.Verb, vm string) (Ref, error) {
	log := core.LogHostagent
	switch verb {
	case dialog.Start, dialog.Restart, dialog.Reset:
		log = core.LogSerial
	case dialog.Create, dialog.Stop, dialog.Delete, dialog.Change:
	case dialog.StartService, dialog.StopService, dialog.RestartService, dialog.ResetService, dialog.DeleteService, dialog.Repair, dialog.Collect:
		return Ref{}, fmt.Errorf("operation %q does not work on a virtual machine", verb)
	default:
		return Ref{}, fmt.Errorf("unknown operation %q", verb)
	}
	a.mu.Lock()
	p := a.shown
	all := p.board.Operations()
	if i := slices.IndexFunc(all, func(o dialog.Operation) bool { return o.Waited() && o.Verb == verb && o.Object == vm }); i >= 0 {
		a.mu.Unlock()
		return Ref{all[i].ID}, nil
	}
	w := p.onVM(verb, vm, log, func(ctx context.Context, vms *core.VMs, w core.Wait) error { return vms.Follow(ctx, vm, w) })
	if verb == dialog.Start || verb == dialog.Create {
		w = a.bootable(p, w)
	} else {
		w = p.stoppable(w)
	}
	a.mu.Unlock()
	return a.operate(p, w)
}

// Boards are the operations of each instance that was shown.
func (a *API) Boards() (all []dialog.Board) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.places {
		all = append(all, p.board)
	}
	return all
}

// Answer answers the question of an operation, of whichever instance.
func (a *API) Answer(id string, answer dialog.Answer) error {
	a.mu.Lock()
	p := a.shown
	for _, other := range a.places {
		if _, has := other.board.Find(id); has {
			p = other
		}
	}
	board, err := p.board.Answered(id, answer)
	if waits := p.waits[id]; err == nil && waits != nil {
		p.board = board
		select {
		case waits.answers <- answer:
		default: // it has one, and nobody will read another
		}
	}
	a.mu.Unlock()
	if err != nil {
		return &core.Error{Kind: core.Rejected, Err: err}
	}
	a.hub.changed()
	return nil
}
