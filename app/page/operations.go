package page

import (
	"context"
	"fmt"

	"rancherdesktop.io/rdd/app/operation"
	"rancherdesktop.io/rdd/core"
)

func (a *API) operationBackground(_ context.Context, params BackgroundParams) (nothing, error) {
	a.current().engine.Background(params.ID, params.Background)
	return nothing{}, nil
}

func (a *API) operationDismiss(_ context.Context, params IDParams) (nothing, error) {
	a.current().engine.Dismiss(params.ID)
	return nothing{}, nil
}

// operationCancel undoes an operation if that is possible; see operation.Engine.Cancel.
func (a *API) operationCancel(_ context.Context, params CancelParams) (Undo, error) {
	undo, err := a.current().engine.Cancel(params.ID, params.Delete)
	return Undo{undo}, err
}

func (a *API) operationAnswer(_ context.Context, params AnswerParams) (nothing, error) {
	return nothing{}, a.Answer(params.ID, params.Answer)
}

// Follow shows an operation on a VM or the App that another client has begun, such as the tray, as an operation of the page:
// its progress, its question when it takes too long, its failure. It changes nothing. If the page already waits for
// such an operation, Follow returns that.
func (a *API) Follow(verb operation.Verb, vm string) (Ref, error) {
	engine := a.current().engine
	if verb.OnApp() {
		return begun(engine.Begin(engine.OnApp(verb, func(ctx context.Context, app *core.AppClient, w core.Wait) error { return app.Follow(ctx, w) })))
	}
	if !verb.OnVM() {
		return Ref{}, fmt.Errorf("%q is not an operation on a virtual machine", verb)
	}
	follow := func(ctx context.Context, vms *core.VMs, w core.Wait) error { return vms.Follow(ctx, vm, w) }
	return begun(engine.Begin(engine.OnVM(verb, vm, follow)))
}

// Operations returns the operations of each instance that was shown.
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

// Answer answers the question of an operation of any instance that was shown.
func (a *API) Answer(id string, answer operation.Answer) error {
	return a.engineOf(id).Answer(id, answer)
}

// engineOf returns the engine that has an operation, else that of the instance that is shown.
func (a *API) engineOf(id string) *operation.Engine {
	for _, e := range a.engines() {
		if _, has := e.List().Find(id); has {
			return e
		}
	}
	return a.current().engine
}
