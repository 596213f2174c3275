package page

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rancherdesktop.io/rdd/app/dialog"
	"rancherdesktop.io/rdd/core"
)

// work is what an operation does.
type work struct {
	verb    dialog.Verb
	object  string
	timeout time.Duration // 0: no limit
	log     dialog.Log
	logPath string
	run     func(ctx context.Context, w core.Wait) error

	fresh bool   // there was no such VM before
	loses string // what a forced stop may lose; empty: nothing can be forced
	force func(ctx context.Context) error
}

// waiting is an operation that is waited for.
type waiting struct {
	cancel  context.CancelCauseFunc
	answers chan dialog.Answer
}

// errUnwaited ends a wait that the user has ended.
var errUnwaited = errors.New("the wait was ended")

// operate begins an operation and waits for it in the background. What it is told becomes the board's.
func (a *API) operate(view *instanceView, w work) (Ref, error) {
	id := a.newID()
	known := make(chan struct{})
	err := a.begin(func(ctx context.Context) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		waits := &waiting{cancel, make(chan dialog.Answer, 1)}
		a.change(func() {
			view.waits[id] = waits
			view.board = view.board.Began(dialog.Operation{
				ID: id, Verb: w.verb, Object: w.object, Started: time.Now(), Force: w.loses, Log: &w.log, Extend: w.timeout, Fresh: w.fresh,
			})
		})
		close(known)
		err := a.wait(ctx, view, id, w, waits)
		var problem *Problem
		if err != nil {
			problem = problemOf(err)
			problem.Log = w.logPath
		}
		a.change(func() {
			delete(view.waits, id)
			view.board = view.board.Settled(id, problem)
		})
	})
	if err == nil {
		<-known
	}
	return Ref{id}, err
}

// shownWork begins work on the instance that is shown.
func (a *API) shownWork(of func(view *instanceView) work) (Ref, error) {
	a.mu.Lock()
	view := a.shown
	w := of(view)
	a.mu.Unlock()
	return a.operate(view, w)
}

// wait carries an operation out, to the end of its work or of the patience with it.
func (a *API) wait(ctx context.Context, view *instanceView, id string, w work, waits *waiting) error {
	var forced error
	err := w.run(ctx, core.Wait{
		Timeout: w.timeout,
		Progress: func(e core.Event) {
			if e.Phase == core.PhaseLog {
				return
			}
			step := dialog.Progress{
				Phase: e.Phase, Step: e.Step, Steps: e.Steps, Bytes: e.Bytes, Total: e.Total, Message: e.Message, Elapsed: e.Elapsed.Seconds(),
			}
			a.change(func() { view.board = view.board.Progressed(id, step) })
		},
		Overdue: func(question context.Context, waited time.Duration) time.Duration {
			a.change(func() { view.board = view.board.Overdue(id, waited) })
			select {
			case <-question.Done(): // the end of the operation closes it
				return 0
			case answer := <-waits.answers:
				if answer == dialog.ForceStop {
					forced = w.force(ctx)
				}
				if errors.Is(forced, errUnwaited) {
					a.change(func() { view.board = view.board.Abandoned(id) })
				}
				if answer == dialog.StopWaiting || forced != nil {
					return 0
				}
				return w.timeout
			}
		},
	})
	if err != nil && forced != nil {
		return fmt.Errorf("force failed: %w", forced)
	}
	return err
}

// unwait ends the waiting for an operation, which goes on.
func (a *API) unwait(view *instanceView, id string) (dialog.Operation, error) {
	a.mu.Lock()
	o, _ := view.board.Find(id)
	waits := view.waits[id]
	if waits != nil {
		view.board = view.board.Abandoned(id)
	}
	a.mu.Unlock()
	if waits == nil {
		return o, &core.Error{Kind: core.NotFound, Err: fmt.Errorf("operation %q is not running: it has ended", id)}
	}
	waits.cancel(errUnwaited)
	a.events.changed()
	return o, nil
}

func (a *API) operationBackground(_ context.Context, params BackgroundParams) (nothing, error) {
	view := a.current()
	a.change(func() { view.board = view.board.Background(params.ID, params.Background) })
	return nothing{}, nil
}

func (a *API) operationDismiss(_ context.Context, params IDParams) (nothing, error) {
	view := a.current()
	a.change(func() { view.board = view.board.Dismissed(params.ID) })
	return nothing{}, nil
}

// operationCancel undoes what can be undone: a start becomes a stop, and a creation too, or a deletion when that
// is wanted. Else it ends the waiting.
func (a *API) operationCancel(_ context.Context, params CancelParams) (Undo, error) {
	view := a.current()
	o, err := a.unwait(view, params.ID)
	if err != nil {
		return Undo{}, err
	}
	a.mu.Lock()
	undo, ok := view.undo(o, params.Delete)
	a.mu.Unlock()
	if !ok {
		return Undo{}, nil
	}
	ref, err := a.operate(view, undo)
	return Undo(ref), err
}

// undo is what undoes an operation, if something does. The lock is held.
func (view *instanceView) undo(o dialog.Operation, unmake bool) (work, bool) {
	switch o.Verb {
	case dialog.Start, dialog.Restart:
		return view.stop(o.Object, false), true
	case dialog.Create: // it may not be there yet, or not be meant to run
		vm := view.vm(o.Object)
		if unmake && o.Fresh && vm != nil {
			return view.unmake(o.Object), true
		}
		return view.stop(o.Object, false), vm != nil && vm.Running
	case dialog.StartService, dialog.RestartService:
		return view.stopService(), true
	case dialog.StopService, dialog.ResetService, dialog.DeleteService, dialog.Stop, dialog.Delete, dialog.Reset, dialog.Change, dialog.Repair, dialog.Collect:
	}
	return work{}, false
}

// vm is the VM of that name, as it was seen last; nil when there is none. The lock is held.
func (view *instanceView) vm(name string) *VM {
	for i := range view.vms {
		if view.vms[i].Name == name {
			return &view.vms[i]
		}
	}
	return nil
}

func (a *API) operationAnswer(_ context.Context, params AnswerParams) (nothing, error) {
	return nothing{}, a.Answer(params.ID, params.Answer)
}
