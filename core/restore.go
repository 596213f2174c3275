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

// Backup is a copy of what the service's datastore held.
type Backup = lifecycle.Backup

// Restored is what a restore did.
type Restored = lifecycle.Restored

// Backups lists the backups of the service's datastore, newest first, each checked. It changes nothing,
// and doesn't need the service.
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

// Restore puts a backup in the place of the datastore of a stopped service, and keeps what was there.
// The backup is named by its name, or by a path; without a name it is the newest that is whole.
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
	w.Accepted = false // nothing goes on without this call
	err = w.run(ctx, op, inst.Name, func(ctx context.Context, o *operation) error {
		if _, live, err := lifecycle.Find(inst); live || err != nil {
			return errors.Join(err, lifecycle.ErrNotStopped)
		}
		if err := s.reap(ctx, false, nil, func(step string) { o.report(Event{Phase: phaseStopping, Message: step}) }); err != nil {
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

// backupArgs are rddd's arguments for the backup that a user named. A path is told from a name by its
// separator; rddd may run in another directory.
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
