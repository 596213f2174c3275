package page

import (
	"context"

	"rancherdesktop.io/rdd/app/operation"
	"rancherdesktop.io/rdd/core"
)

func (a *API) serviceStart(context.Context, nothing) (Ref, error) {
	return a.beginWork((*operation.Engine).StartService)
}

func (a *API) serviceStop(context.Context, nothing) (Ref, error) {
	return a.beginWork((*operation.Engine).StopService)
}

func (a *API) serviceRestart(context.Context, nothing) (Ref, error) {
	return a.stoppingService(operation.RestartService, func(ctx context.Context, s *core.Service, w core.Wait) error { return s.Restart(ctx, false, w) })
}

func (a *API) serviceReset(context.Context, nothing) (Ref, error) {
	return a.stoppingService(operation.ResetService, func(ctx context.Context, s *core.Service, w core.Wait) error {
		_, err := s.Reset(ctx, w)
		return err
	})
}

func (a *API) serviceDelete(context.Context, nothing) (Ref, error) {
	view := a.current()
	return a.stoppingService(operation.DeleteService, func(ctx context.Context, s *core.Service, w core.Wait) error {
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
			return a.onService(operation.Restore, func(ctx context.Context, s *core.Service, w core.Wait) error {
				_, err := s.Restore(ctx, params.Backup, w)
				return err
			})
		}
	}
	return Ref{}, badField("backup", "backup: there is no backup %q", params.Backup)
}
