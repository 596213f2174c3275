package operation

import (
	"context"

	"rancherdesktop.io/rdd/core"
)

// OnApp returns work on the App of the running service. Forcing it powers off the virtual machine, as that of OnVM does.
func (e *Engine) OnApp(verb Verb, run func(context.Context, *core.AppClient, core.Wait) error) Work {
	return e.onMachine(verb, machine{
		object: core.AppName, vm: core.AppVM, connect: e.options.Core.ConnectApp,
		force:     func(ctx context.Context, s *core.Session) error { return s.App().Force(ctx) },
		forceStop: e.ForceStopApp,
		loses:     "The virtual machine is powered off immediately. Data that it has not written to disk is lost.",
	}, func(ctx context.Context, s *core.Session, w core.Wait) error { return run(ctx, s.App(), w) })
}

// StartApp starts the App, and creates it if there is none. It starts the service first if it is not running.
func (e *Engine) StartApp() Work {
	return e.ensuring(e.OnApp(StartApp, nil), func(ctx context.Context, s *core.Session, w core.Wait) error { return s.App().Start(ctx, w) })
}

// StopApp shuts down the App.
func (e *Engine) StopApp() Work {
	return e.OnApp(StopApp, func(ctx context.Context, a *core.AppClient, w core.Wait) error { return a.Stop(ctx, false, w) })
}

// ForceStopApp powers off the virtual machine of the App.
func (e *Engine) ForceStopApp() Work {
	return e.OnApp(ForceStopApp, func(ctx context.Context, a *core.AppClient, w core.Wait) error { return a.Stop(ctx, true, w) })
}

// RestartApp restarts the App. With force, it powers the virtual machine off.
func (e *Engine) RestartApp(force bool) Work {
	return e.OnApp(RestartApp, func(ctx context.Context, a *core.AppClient, w core.Wait) error { return a.Restart(ctx, force, w) })
}

// ResetApp gives the App a new system disk. With force, it powers the virtual machine off.
func (e *Engine) ResetApp(force bool) Work {
	return e.OnApp(ResetApp, func(ctx context.Context, a *core.AppClient, w core.Wait) error { return a.Reset(ctx, force, w) })
}

// DeleteApp deletes the App with all its images, containers and volumes. With force, it powers the virtual machine off.
func (e *Engine) DeleteApp(force bool) Work {
	return e.OnApp(DeleteApp, func(ctx context.Context, a *core.AppClient, w core.Wait) error { return a.Delete(ctx, force, w) })
}

// ChangeApp merges spec into the App's spec, in which null stands for the default. With start, it also starts the App, so that
// the first start has these settings. It creates the App if there is none, and starts the service first if it is not running.
func (e *Engine) ChangeApp(spec map[string]any, start bool) Work {
	verb := ChangeApp
	if start {
		verb = StartApp
	}
	return e.ensuring(e.OnApp(verb, nil), func(ctx context.Context, s *core.Session, w core.Wait) error {
		if start {
			return s.App().StartWith(ctx, spec, w)
		}
		return s.App().Set(ctx, spec, false, w)
	})
}
