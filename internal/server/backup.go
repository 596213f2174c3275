package server

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/datastore"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/lifecycle"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// backupTimeout bounds the backup at the end of a run, which takes milliseconds.
const backupTimeout = 10 * time.Second

// discoveryKey is the datastore's key of the discovery ConfigMap. Every run writes that, so a change of it is no reason for a
// backup.
const discoveryKey = "/registry/configmaps/" + v1alpha1.SystemNamespace + "/" + discoveryName

func backupsOf(inst instance.Instance) datastore.Backups {
	return datastore.Backups{Dir: inst.BackupDir()}
}

// backUp makes a backup of the closed datastore, if that has changed. A failure becomes a warning in the record.
func (r *Run) backUp(ctx context.Context) {
	r.stopping("backing up the datastore")
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), backupTimeout, fmt.Errorf("%w after %s", context.DeadlineExceeded, backupTimeout))
	defer cancel()
	began := time.Now()
	taken, err := backupsOf(r.Instance).Take(ctx, r.Instance.StoreDir(), discoveryKey)
	if err != nil {
		warning := fmt.Sprintf("no backup of the datastore could be made in %s: %v", r.Instance.BackupDir(), err)
		r.Log.Warn(warning)
		r.Publish(lifecycle.Record{Phase: lifecycle.Stopping, Step: "backing up the datastore", Warning: warning})
		return
	}
	r.Log.Info("backup", "taken", taken, "took", time.Since(began))
}

// withRestoreHint adds to the error of a damaged datastore how to repair it.
func (r *Run) withRestoreHint(ctx context.Context, err error) error {
	if _, damaged := errors.AsType[*datastore.DamagedError](err); !damaged {
		return err
	}
	const reset = "rdd svc reset begins with an empty one, and removes the VMs"
	backup, _, e := newestGood(ctx, r.Instance)
	if e != nil {
		return fmt.Errorf("%w. It is left as it is. There is no backup to restore (%w); %s", err, e, reset)
	}
	return fmt.Errorf("%w. It is left as it is. To go on with the backup of %s: rdd svc restore (others: rdd svc restore --list); %s",
		err, backup.Time.Local().Format(time.DateTime), reset)
}

// Backups lists an instance's backups, newest first, and checks each. It changes nothing.
func Backups(ctx context.Context, inst instance.Instance) ([]lifecycle.Backup, error) {
	have, err := backupsOf(inst).List()
	all := []lifecycle.Backup{}
	for _, b := range have {
		all = append(all, checkBackup(ctx, inst, b))
	}
	return all, err
}

// checkBackup checks one backup.
func checkBackup(ctx context.Context, inst instance.Instance, b datastore.Backup) lifecycle.Backup {
	checked := lifecycle.Backup{Name: b.Name, Time: b.Time, Size: b.Size, Path: b.Path, VMs: []string{}}
	contents, err := backupsOf(inst).Look(ctx, b.Path)
	if err != nil {
		checked.Problem = err.Error()
		return checked
	}
	checked.VMs = vmsIn(contents)
	return checked
}

// newestGood returns the newest backup that is not damaged, and the damaged ones that are newer.
func newestGood(ctx context.Context, inst instance.Instance) (good lifecycle.Backup, skipped []lifecycle.Backup, err error) {
	all, err := Backups(ctx, inst)
	if err != nil {
		return good, nil, err
	}
	i := slices.IndexFunc(all, func(b lifecycle.Backup) bool { return b.Problem == "" })
	switch {
	case len(all) == 0:
		return good, nil, fmt.Errorf("none in %s; one is made at each stop in order", inst.BackupDir())
	case i < 0:
		return good, all, fmt.Errorf("none in %s is whole; the newest: %s", inst.BackupDir(), all[0].Problem)
	}
	return all[i], all[:i], nil
}

// vmsIn lists the VMs in a datastore.
func vmsIn(c datastore.Contents) []string {
	prefix := path.Join("/registry", v1alpha1.GroupVersion.Group, v1alpha1.Resource) + "/"
	names := []string{}
	for key := range c {
		if name, ok := strings.CutPrefix(key, prefix); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Restore replaces the datastore of an instance whose service is stopped with a backup: the one with that name or in that file,
// or, without a name, the newest that is not damaged.
func Restore(ctx context.Context, inst instance.Instance, config lifecycle.Config, name string) (done lifecycle.Restored, err error) {
	if config.DatastoreEndpoint != "" {
		return done, errors.New("this instance keeps its objects in an external datastore, of which RDD makes no backups: use the tools of that database, such as pg_restore or etcdutl snapshot restore")
	}
	if name == "" {
		done.Backup, done.Skipped, err = newestGood(ctx, inst)
	} else if b, findErr := backupsOf(inst).Find(name); findErr == nil {
		done.Backup = checkBackup(ctx, inst, b)
	} else {
		err = findErr
	}
	if err != nil {
		return done, fmt.Errorf("find a backup: %w", err)
	}
	if done.Backup.Problem != "" {
		return done, fmt.Errorf("%s is damaged, and nothing has changed: %s; others: rdd svc restore --list", done.Backup.Path, done.Backup.Problem)
	}
	if done.Unknown, done.Diskless, err = compareWithDisks(inst, done.Backup.VMs); err != nil {
		return done, err
	}
	done.Aside, err = backupsOf(inst).Restore(ctx, done.Backup.Path, inst.StoreDir())
	return done, err
}

// compareWithDisks returns the VMs that have a disk and are not among the known, and the known that have no disk.
func compareWithDisks(inst instance.Instance, known []string) (unknown, diskless []string, err error) {
	names, err := layout.Names(inst.LimaHome())
	have := []string{}
	for _, name := range names {
		if (layout.VM{Home: inst.LimaHome(), Name: name}).Made() {
			have = append(have, name)
		}
	}
	without := func(names, others []string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(others, name) })
	}
	return without(have, known), without(known, have), err
}
