package datastore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/datastore/storefile"
)

// revisionsApart is how far the revisions of a restored store are from all that clients may have
// seen. Without it, a client that goes on from an old revision would miss changes.
// Source: https://etcd.io/docs/v3.6/op-guide/recovery/ (--bump-revision).
const revisionsApart = 1_000_000_000

// revisionLimit is more than any store reaches. A damaged file may say anything.
const revisionLimit = 1 << 53

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
// aside is empty when there was no store.
func (b Backups) Restore(ctx context.Context, file, dir string) (aside string, err error) {
	if to, err := os.Readlink(dir); err == nil {
		return "", fmt.Errorf("nothing has changed, because %s is a link to %s, which a restore can't replace: connect that disk if it is missing, or replace the link with a folder", dir, to)
	}
	if err := errors.Join(finishRestore(dir), os.MkdirAll(b.Dir, 0o700)); err != nil {
		return "", err
	}
	number, name, err := b.next()
	if err != nil {
		return "", err
	}
	// Both may be ahead of the numbers: former versions used none up when there was nothing to put aside.
	seen := max(lastRevision(ctx, storefile.Database(dir)), lastRevision(ctx, file))
	revision := max(int64(number), seen/revisionsApart+1) * revisionsApart
	if err := extract(ctx, file, storefile.Restoring(dir), revision); err != nil {
		err = fmt.Errorf("%s can't be restored, and nothing has changed: %w", file, err)
		return "", errors.Join(err, finishRestore(dir))
	}
	err = storefile.NoteUse(dir) // first: the mark of former versions is in dir
	if err == nil {
		aside, err = moveAside(dir, filepath.Join(b.Dir, name+asideSuffix))
	}
	if err != nil {
		return "", errors.Join(err, finishRestore(dir))
	}
	if err := putInPlace(dir); err != nil {
		return aside, err
	}
	return aside, errors.Join(finishRestore(dir), syncFolder(filepath.Dir(dir)))
}

const (
	// extracted is the folder of a store that is complete, below that of the restore.
	extracted = "new"
	// formerWork is where former versions made the next store, below the store's folder.
	formerWork = "restoring"
)

// putInPlace moves the store that a restore has made to dir, where nothing may be.
func putInPlace(dir string) error {
	return atomicfile.Rename(filepath.Join(storefile.Restoring(dir), extracted), dir)
}

// finishRestore puts the store that a restore has made in its place, if the former store was put aside.
// It removes everything else that a restore has left. An error means that the restored store is not in
// its place.
func finishRestore(dir string) error {
	if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) {
		if err := putInPlace(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := errors.Join(os.RemoveAll(storefile.Restoring(dir)), os.RemoveAll(filepath.Join(dir, formerWork))); err != nil {
		logrus.Warnf("datastore: remove what a restore has left: %v", err)
	}
	return nil
}

// lastRevision returns the newest revision in a database, 0 if there is none or the file can't be read.
// It changes nothing and leaves out a log, which never has revisions of another restore.
func lastRevision(ctx context.Context, file string) int64 {
	db, err := openFile(sqliteURL(file, "mode=ro&immutable=1"))
	if err != nil {
		return 0
	}
	defer db.Close()
	var revision int64
	err = db.QueryRowContext(ctx, `SELECT MAX(id) FROM kine`).Scan(&revision)
	if err != nil || revision < 0 || revision >= revisionLimit {
		return 0
	}
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

// moveAside renames the folder of a store to to. In one step, so that nothing can part a database from
// its log. If the folder is missing, it makes an empty one, so that each restore has a number of its
// own. It returns to if that holds a store.
func moveAside(dir, to string) (aside string, err error) {
	err = atomicfile.Rename(dir, to)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", os.Mkdir(to, 0o700)
	case errors.Is(err, syscall.EBUSY), errors.Is(err, syscall.EXDEV):
		return "", fmt.Errorf("nothing has changed, because a restore renames the datastore's folder: it may not be a mount point, and must be on the file system of %s: %w", filepath.Dir(to), err)
	case err != nil:
		return "", fmt.Errorf("nothing has changed, because the datastore can't be put aside: %w", err)
	}
	for _, suffix := range []string{"", "-wal"} {
		if _, err := os.Lstat(storefile.Database(to) + suffix); err == nil {
			return to, nil
		}
	}
	return "", nil
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
