package page

import (
	"context"
	"time"

	"rancherdesktop.io/rdd/app/dialog"
	"rancherdesktop.io/rdd/core"
)

// onService is work on the service. The lock is held.
func (p *place) onService(verb dialog.Verb, run func(context.Context, *core.Service, core.Wait) error) work {
	inst := p.core.Instance()
	return work{
		verb: verb, object: inst.Name, timeout: time.Duration(p.settings.ServiceTimeout) * time.Second,
		log: dialog.Log{Source: "service"}, logPath: inst.ServiceLog(),
		run: func(ctx context.Context, w core.Wait) error { return run(ctx, p.core.Service(), w) },
	}
}

// service begins work on the service of the instance that is shown.
func (a *API) service(verb dialog.Verb, run func(context.Context, *core.Service, core.Wait) error) (Ref, error) {
	return a.shownWork(func(p *place) work { return p.onService(verb, run) })
}

// stops adds to work that stops the service that its guests can be ended by force.
func (p *place) stops(w work) work {
	w.loses = "All guests are powered off immediately. Data they have not written to disk is lost."
	w.force = func(context.Context) error { return p.core.Service().Force() }
	return w
}

// stopping begins work that stops the service of the instance that is shown.
func (a *API) stopping(verb dialog.Verb, run func(context.Context, *core.Service, core.Wait) error) (Ref, error) {
	return a.shownWork(func(p *place) work { return p.stops(p.onService(verb, run)) })
}

func (p *place) stopService() work {
	return p.stops(p.onService(dialog.StopService, func(ctx context.Context, s *core.Service, w core.Wait) error {
		_, err := s.Stop(ctx, false, w)
		return err
	}))
}

func (a *API) serviceStart(context.Context, nothing) (Ref, error) {
	return a.service(dialog.StartService, func(ctx context.Context, s *core.Service, w core.Wait) error {
		_, err := s.Start(ctx, w)
		return err
	})
}

func (a *API) serviceStop(context.Context, nothing) (Ref, error) {
	return a.shownWork((*place).stopService)
}

func (a *API) serviceRestart(context.Context, nothing) (Ref, error) {
	return a.stopping(dialog.RestartService, func(ctx context.Context, s *core.Service, w core.Wait) error { return s.Restart(ctx, false, w) })
}

func (a *API) serviceReset(context.Context, nothing) (Ref, error) {
	return a.stopping(dialog.ResetService, func(ctx context.Context, s *core.Service, w core.Wait) error {
		_, err := s.Reset(ctx, w)
		return err
	})
}

func (a *API) serviceDelete(context.Context, nothing) (Ref, error) {
	p := a.here()
	return a.stopping(dialog.DeleteService, func(ctx context.Context, s *core.Service, w core.Wait) error {
		_, err := s.Delete(ctx, w)
		a.loadSettings(p) // they went, too
		return err
	})
}

func (a *API) serviceBackups(ctx context.Context, _ nothing) ([]Backup, error) {
	found, err := a.here().core.Service().Backups(ctx)
	all := make([]Backup, 0, len(found))
	for _, b := range found {
		all = append(all, Backup{Name: b.Name, Time: b.Time, Bytes: b.Size, Problem: b.Problem})
	}
	return all, err
}

// serviceRestore wants the name of a backup, and no path: the page is no way to other files.
func (a *API) serviceRestore(ctx context.Context, params RestoreParams) (Ref, error) {
	known, err := a.serviceBackups(ctx, nothing{})
	if err != nil {
		return Ref{}, err
	}
	for _, b := range known {
		if b.Name == params.Backup {
			return a.service(dialog.Repair, func(ctx context.Context, s *core.Service, w core.Wait) error {
				_, err := s.Restore(ctx, params.Backup, w)
				return err
			})
		}
	}
	return Ref{}, badField("backup", "backup: there is no backup %q", params.Backup)
}
