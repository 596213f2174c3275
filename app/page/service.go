package page

import (
	"context"
	"time"

	"rancherdesktop.io/rdd/app/dialog"
	"rancherdesktop.io/rdd/core"
)

// onService returns work on the service. The lock is held.
func (view *instanceView) onService(verb dialog.Verb, run func(context.Context, *core.Service, core.Wait) error) work {
	inst := view.core.Instance()
	return work{
		verb: verb, object: inst.Name, timeout: time.Duration(view.settings.ServiceTimeout) * time.Second,
		log: dialog.Log{Source: "service"}, logPath: inst.ServiceLog(),
		run: func(ctx context.Context, w core.Wait) error { return run(ctx, view.core.Service(), w) },
	}
}

// service begins work on the service of the shown instance.
func (a *API) service(verb dialog.Verb, run func(context.Context, *core.Service, core.Wait) error) (Ref, error) {
	return a.shownWork(func(view *instanceView) work { return view.onService(verb, run) })
}

// stops adds a forced stop of all guests to work that stops the service.
func (view *instanceView) stops(w work) work {
	w.loses = "All guests are powered off immediately. Data they have not written to disk is lost."
	w.force = func(context.Context) error { return view.core.Service().Force() }
	return w
}

// stopping begins work that stops the service of the shown instance.
func (a *API) stopping(verb dialog.Verb, run func(context.Context, *core.Service, core.Wait) error) (Ref, error) {
	return a.shownWork(func(view *instanceView) work { return view.stops(view.onService(verb, run)) })
}

func (view *instanceView) stopService() work {
	return view.stops(view.onService(dialog.StopService, func(ctx context.Context, s *core.Service, w core.Wait) error {
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
	return a.shownWork((*instanceView).stopService)
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
	view := a.current()
	return a.stopping(dialog.DeleteService, func(ctx context.Context, s *core.Service, w core.Wait) error {
		_, err := s.Delete(ctx, w)
		a.loadSettings(view) // they were deleted, too
		return err
	})
}

func (a *API) serviceBackups(ctx context.Context, _ nothing) ([]Backup, error) {
	found, err := a.current().core.Service().Backups(ctx)
	all := make([]Backup, 0, len(found))
	for _, b := range found {
		all = append(all, Backup{Name: b.Name, Time: b.Time, Bytes: b.Size, Problem: b.Problem})
	}
	return all, err
}

// serviceRestore restores a backup by its name. It takes no path, so that the page can't reach other files.
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
