package page

import (
	"context"
	"fmt"
	"slices"

	"rancherdesktop.io/rdd/app/dialog"
	"rancherdesktop.io/rdd/core"
)

// Follow shows an operation that another client has begun on a VM, such as the tray, as an operation of the page:
// its progress, its question when it takes too long, its failure. It changes nothing. An operation that the page
// already waits for is returned.
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
	view := a.shown
	all := view.board.Operations()
	if i := slices.IndexFunc(all, func(o dialog.Operation) bool { return o.Waited() && o.Verb == verb && o.Object == vm }); i >= 0 {
		a.mu.Unlock()
		return Ref{all[i].ID}, nil
	}
	w := view.onVM(verb, vm, log, func(ctx context.Context, vms *core.VMs, w core.Wait) error { return vms.Follow(ctx, vm, w) })
	if verb == dialog.Start || verb == dialog.Create {
		w = a.bootable(view, w)
	} else {
		w = view.stoppable(w)
	}
	a.mu.Unlock()
	return a.operate(view, w)
}

// Boards returns the operations of each instance that was shown.
func (a *API) Boards() (all []dialog.Board) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, view := range a.views {
		all = append(all, view.board)
	}
	return all
}

// Answer answers the question of an operation, of any instance.
func (a *API) Answer(id string, answer dialog.Answer) error {
	a.mu.Lock()
	view := a.shown
	for _, other := range a.views {
		if _, has := other.board.Find(id); has {
			view = other
		}
	}
	board, err := view.board.Answered(id, answer)
	if waits := view.waits[id]; err == nil && waits != nil {
		view.board = board
		select {
		case waits.answers <- answer:
		default: // it was answered already
		}
	}
	a.mu.Unlock()
	if err != nil {
		return &core.Error{Kind: core.Rejected, Err: err}
	}
	a.events.changed()
	return nil
}
