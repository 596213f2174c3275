package page

import (
	"context"

	"rancherdesktop.io/rdd/app/operation"
	"rancherdesktop.io/rdd/core"
)

// beginWork begins work on the instance that is shown.
func (a *API) beginWork(of func(*operation.Engine) operation.Work) (Ref, error) {
	engine := a.current().engine
	id, err := engine.Begin(of(engine))
	return Ref{id}, err
}

// onService begins work on the service of the instance that is shown.
func (a *API) onService(verb operation.Verb, run func(context.Context, *core.Service, core.Wait) error) (Ref, error) {
	return a.beginWork(func(e *operation.Engine) operation.Work { return e.OnService(verb, run) })
}

// stoppingService begins work that stops the service of the instance that is shown.
func (a *API) stoppingService(verb operation.Verb, run func(context.Context, *core.Service, core.Wait) error) (Ref, error) {
	return a.beginWork(func(e *operation.Engine) operation.Work { return e.StoppingService(verb, run) })
}

// onVM begins work on a VM of the instance that is shown.
func (a *API) onVM(verb operation.Verb, name string, run func(context.Context, *core.VMs, core.Wait) error) (Ref, error) {
	return a.beginWork(func(e *operation.Engine) operation.Work { return e.OnVM(verb, name, core.LogHostagent, run) })
}

// stoppingVM begins work that stops the guest of a VM of the instance that is shown.
func (a *API) stoppingVM(verb operation.Verb, name, log string, run func(context.Context, *core.VMs, core.Wait) error) (Ref, error) {
	return a.beginWork(func(e *operation.Engine) operation.Work { return e.StoppingVM(verb, name, log, run) })
}

func (a *API) operationBackground(_ context.Context, params BackgroundParams) (nothing, error) {
	a.current().engine.Background(params.ID, params.Background)
	return nothing{}, nil
}

func (a *API) operationDismiss(_ context.Context, params IDParams) (nothing, error) {
	a.current().engine.Dismiss(params.ID)
	return nothing{}, nil
}

// operationCancel undoes what can be undone; see operation.Engine.Cancel.
func (a *API) operationCancel(_ context.Context, params CancelParams) (Undo, error) {
	undo, err := a.current().engine.Cancel(params.ID, params.Delete)
	return Undo{undo}, err
}

func (a *API) operationAnswer(_ context.Context, params AnswerParams) (nothing, error) {
	return nothing{}, a.Answer(params.ID, params.Answer)
}
