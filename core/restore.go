package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"rancherdesktop.io/rdd/internal/lifecycle"
)

// Backup is a backup of the service's datastore.
type Backup = lifecycle.Backup

// Restored is the result of a restore.
type Restored = lifecycle.Restored

// Backups lists and checks the backups of the service's datastore, newest first. It changes nothing and works without the
// service.
func (s *Service) Backups(ctx context.Context) (all []Backup, err error) {
	inst := s.core.inst
	if !inst.Exists() {
		return []Backup{}, nil
	}
	out, err := s.rddd(ctx, "backups")
	if err == nil {
		err = json.Unmarshal(out, &all)
	}
	return all, Failed("list the backups of service", inst.Name, err)
}

// Restore replaces the datastore of a stopped service with a backup, and keeps the replaced datastore. backup is a name or a
// path. If it is empty, Restore uses the newest complete backup.
func (s *Service) Restore(ctx context.Context, backup string, w Wait) (done Restored, err error) {
	const op = "restore service"
	inst := s.core.inst
	if !inst.Exists() {
		return done, Failed(op, inst.Name, errors.New("the instance does not exist and has no backups"))
	}
	args, err := backupArgs(backup)
	if err != nil {
		return done, Failed(op, inst.Name, err)
	}
	w.Accepted = false // the restore is done by this call
	err = w.run(ctx, op, inst.Name, func(ctx context.Context, o *operation) error {
		if _, live, err := lifecycle.Find(inst); live || err != nil {
			return errors.Join(err, lifecycle.ErrNotStopped)
		}
		if err := s.reap(ctx, false, false, func(step string) { o.report(Event{Phase: phaseStopping, Message: step}) }); err != nil {
			return err
		}
		o.report(Event{Phase: "restoring", Message: "checking and restoring the backup"})
		out, err := s.rddd(ctx, "restore", args...)
		if err != nil {
			return err
		}
		return json.Unmarshal(out, &done)
	})
	return done, err
}

// backupArgs returns rddd's arguments for a backup. A path has a separator, and a name has none. rddd may run in another
// directory, so a path becomes absolute.
func backupArgs(backup string) ([]string, error) {
	if backup == "" {
		return nil, nil
	}
	if strings.ContainsAny(backup, `/\`) {
		abs, err := filepath.Abs(backup)
		if err != nil {
			return nil, fmt.Errorf("find the backup: %w", err)
		}
		backup = abs
	}
	return []string{"--", backup}, nil
}
