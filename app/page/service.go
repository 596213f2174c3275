package page

import (
	"context"

	"rancherdesktop.io/rdd/app/operation"
	"rancherdesktop.io/rdd/core"
)

func startService(e *operation.Engine, _ nothing) operation.Work { return e.StartService() }

func stopService(e *operation.Engine, _ nothing) operation.Work { return e.StopService() }

func restartService(e *operation.Engine, _ nothing) operation.Work {
	return e.OnService(operation.RestartService, func(ctx context.Context, s *core.Service, w core.Wait) error {
		return s.Restart(ctx, false, w)
	})
}

func resetService(e *operation.Engine, _ nothing) operation.Work {
	return e.OnService(operation.ResetService, func(ctx context.Context, s *core.Service, w core.Wait) error {
		_, err := s.Reset(ctx, w)
		return err
	})
}

func (a *API) serviceDelete(context.Context, nothing) (Ref, error) {
	view := a.current()
	return begun(view.engine.Begin(view.engine.OnService(operation.DeleteService, func(ctx context.Context, s *core.Service, w core.Wait) error {
		_, err := s.Delete(ctx, w)
		a.loadSettings(view) // they are deleted, too
		return err
	})))
}

func (a *API) serviceBackups(ctx context.Context, _ nothing) ([]core.Backup, error) {
	return a.current().core.Service().Backups(ctx)
}

// serviceRestore restores a backup by its name. It takes no path, so that the page can't reach other files.
func (a *API) serviceRestore(ctx context.Context, params RestoreParams) (Ref, error) {
	view := a.current()
	known, err := view.core.Service().Backups(ctx)
	if err != nil {
		return Ref{}, err
	}
	for _, b := range known {
		if b.Name == params.Backup {
			return begun(view.engine.Begin(view.engine.OnService(operation.Restore, func(ctx context.Context, s *core.Service, w core.Wait) error {
				_, err := s.Restore(ctx, params.Backup, w)
				return err
			})))
		}
	}
	return Ref{}, badField("backup", "backup: there is no backup %q", params.Backup)
}
