package datastore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/datastore/storefile"
)

// revisionsApart is how far the revisions of a restored store are from all that clients may have
// seen. Without it, a client that goes on from an old revision would miss changes.
// Source: https://etcd.io/docs/v3.6/op-guide/recovery/ (--bump-revision).
const revisionsApart = 1_000_000_000

// Find returns the backup with that name. A name with a path in it is a file, which may be anywhere,
// or a folder such as Restore puts a store aside in.
func (b Backups) Find(name string) (Backup, error) {
	if strings.ContainsAny(name, `/\`) {
		info, err := os.Stat(name)
		if err == nil && info.IsDir() {
			name = storefile.Database(name)
			info, err = os.Stat(name)
		}
		if err != nil {
			return Backup{}, err
		}
		return Backup{Name: filepath.Base(name), Path: name, Time: info.ModTime().UTC(), Size: info.Size()}, nil
	}
	have, err := b.List()
	if err != nil {
		return Backup{}, err
	}
	var names []string
	for _, backup := range have {
		if backup.Name == strings.TrimSuffix(name, backupSuffix) {
			return backup, nil
		}
		names = append(names, backup.Name)
	}
	if len(names) == 0 {
		return Backup{}, fmt.Errorf("there is no backup %q, nor any other in %s", name, b.Dir)
	}
	return Backup{}, fmt.Errorf("there is no backup %q; there are: %s", name, strings.Join(names, ", "))
}

// Restore puts the objects of the database in file in the place of the store in dir, which nobody may
// use meanwhile. It checks file first. What was in the place is moved to aside, and nothing is deleted;
// aside is empty when there was nothing.
func (b Backups) Restore(ctx context.Context, file, dir string) (aside string, err error) {
	if err := errors.Join(finishRestore(dir), os.MkdirAll(b.Dir, 0o700)); err != nil {
		return "", err
	}
	number, name, err := b.next()
	if err != nil {
		return "", err
	}
	// The store may have the number already: a restore that puts nothing aside doesn't use it up.
	seen := max(lastRevision(ctx, storefile.Database(dir)), lastRevision(ctx, file))
	revision := max(int64(number), seen/revisionsApart+1) * revisionsApart
	if err := extract(ctx, file, storefile.Restoring(dir), revision); err != nil {
		err = fmt.Errorf("%s can't be restored, and nothing has changed: %w", file, err)
		return "", errors.Join(err, finishRestore(dir))
	}
	if aside, err = moveAside(dir, filepath.Join(b.Dir, name+asideSuffix)); err != nil {
		return "", errors.Join(err, finishRestore(dir))
	}
	return aside, errors.Join(finishRestore(dir), storefile.NoteUse(dir), syncFolder(filepath.Dir(dir)))
}

// extracted is the folder of a store that is complete, below that of the restore.
const extracted = "new"

// finishRestore moves the store that a restore has made to dir, if the former store was put aside. It
// removes everything else that a restore has left.
func finishRestore(dir string) error {
	work := storefile.Restoring(dir)
	if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) {
		if err := atomicfile.Rename(filepath.Join(work, extracted), dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return os.RemoveAll(work)
}

// lastRevision returns the newest revision in a database, 0 if there is none or the file can't be read.
// It changes nothing and leaves out a log, which never has revisions of another restore.
func lastRevision(ctx context.Context, file string) (revision int64) {
	db, err := openFile(sqliteURL(file, "mode=ro&immutable=1"))
	if err != nil {
		return 0
	}
	defer db.Close()
	_ = db.QueryRowContext(ctx, `SELECT MAX(id) FROM kine`).Scan(&revision)
	return revision
}

// extract makes a new store of the objects in file.
func extract(ctx context.Context, file, work string, revision int64) error {
	unfinished := filepath.Join(work, "unfinished")
	made := storefile.Database(unfinished)
	if err := os.MkdirAll(unfinished, 0o700); err != nil {
		return err
	}
	source, err := copyDatabase(file, work)
	if err != nil {
		return err
	}
	db, err := openFile(sqliteDSN(source))
	if err != nil {
		return err
	}
	defer db.Close()
	if err := quickCheck(ctx, db); err != nil {
		return err
	}
	if err := os.WriteFile(made, nil, 0o600); err != nil {
		return err
	}
	if err := errors.Join(copyObjects(ctx, db, made, revision), syncFile(made), syncFolder(unfinished)); err != nil {
		return err
	}
	return atomicfile.Rename(unfinished, filepath.Join(work, extracted))
}

// copyDatabase copies a database, and the log that a crash left beside it, into a folder: to open it
// where it is would change it.
func copyDatabase(file, dir string) (copied string, err error) {
	copied = filepath.Join(dir, "source.db")
	if err := copyFile(file, copied); err != nil {
		return "", err
	}
	if err := copyFile(file+"-wal", copied+"-wal"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	return copied, nil
}

// moveAside renames the folder of a store to to, unless it is empty or missing. In one step, so that
// nothing can part a database from its log.
func moveAside(dir, to string) (aside string, err error) {
	files, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	case len(files) == 0:
		return "", os.Remove(dir)
	}
	return to, atomicfile.Rename(dir, to)
}

// copyFile copies a file to a new one that is private from the start.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
