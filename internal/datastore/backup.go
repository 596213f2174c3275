package datastore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/datastore/storefile"
	"rancherdesktop.io/rdd/internal/scratch"
)

const (
	// backupLimit is how many backups are kept. A new one replaces the oldest.
	backupLimit      = 3
	backupSuffix     = ".db"
	asideSuffix      = ".replaced"
	backupTime       = "20060102T150405Z"
	unfinishedPrefix = ".taking-"
)

// backupName is NUMBER-TIME. The number orders them, because a clock may be set back.
var backupName = regexp.MustCompile(`^([0-9]{4,})-([0-9]{8}T[0-9]{6}Z)(` + regexp.QuoteMeta(backupSuffix) + `|` + regexp.QuoteMeta(asideSuffix) + `)$`)

// Backups is a folder with the backups of one SQLite store. A backup is a database file with the
// objects and without their history. Restore moves what it replaces into the same folder.
type Backups struct{ Dir string }

// Backup is one of them.
type Backup struct {
	Name string // NUMBER-TIME
	Path string
	Time time.Time // when it was taken, in UTC
	Size int64

	number int
	aside  bool
}

// Contents are the keys that a store or a backup holds, each with its revision.
type Contents map[string]int64

// List returns the backups, newest first. A missing folder holds none.
func (b Backups) List() ([]Backup, error) {
	all, err := b.entries()
	return slices.DeleteFunc(all, func(e Backup) bool { return e.aside }), err
}

// entries lists backups and what was put aside, newest first.
func (b Backups) entries() ([]Backup, error) {
	files, err := os.ReadDir(b.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var all []Backup
	for _, file := range files {
		parts := backupName.FindStringSubmatch(file.Name())
		if parts == nil {
			continue
		}
		info, e := file.Info()
		number, e2 := strconv.Atoi(parts[1])
		at, e3 := time.Parse(backupTime, parts[2])
		if err := errors.Join(e, e2, e3); err != nil {
			continue // gone meanwhile, or nothing of ours
		}
		all = append(all, Backup{
			Name: strings.TrimSuffix(file.Name(), parts[3]), Path: filepath.Join(b.Dir, file.Name()),
			Time: at, Size: info.Size(), number: number, aside: parts[3] == asideSuffix,
		})
	}
	slices.SortFunc(all, func(x, y Backup) int { return y.number - x.number })
	return all, err
}

// next names the next backup, or what is put aside next.
func (b Backups) next() (number int, name string, err error) {
	all, err := b.entries()
	number = 1
	if len(all) > 0 {
		number = all[0].number + 1
	}
	return number, fmt.Sprintf("%04d-%s", number, time.Now().UTC().Format(backupTime)), err
}

// Take makes a backup of the store in dir, unless nothing but the keys in passing has changed since
// the newest one. It says whether it made one. The store may be in use.
func (b Backups) Take(ctx context.Context, dir string, passing ...string) (taken bool, err error) {
	if err := os.MkdirAll(b.Dir, 0o700); err != nil {
		return false, err
	}
	db, err := openFile(sqliteDSN(storefile.Database(dir)))
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	now, err := contents(ctx, db)
	if err != nil {
		return false, fmt.Errorf("read the store: %w", err)
	}
	have, err := b.List()
	if err != nil {
		return false, err
	}
	if len(have) > 0 {
		if last, err := b.Look(ctx, have[0].Path); err == nil && same(now, last, passing) {
			return false, b.prune()
		}
	}
	if err := b.take(ctx, db, now); err != nil {
		return false, err
	}
	return true, b.prune()
}

// take makes a backup under a temporary name and renames it once it is whole.
func (b Backups) take(ctx context.Context, db *sql.DB, want Contents) (err error) {
	f, err := os.CreateTemp(b.Dir, unfinishedPrefix+"*") // mode 0600
	if err != nil {
		return err
	}
	file := f.Name()
	defer func() {
		if err != nil {
			_ = os.Remove(file)
		}
	}()
	if err := errors.Join(f.Close(), copyObjects(ctx, db, file, 0), syncFile(file)); err != nil {
		return fmt.Errorf("copy the objects: %w", err)
	}
	got, err := b.Look(ctx, file)
	if err != nil {
		return fmt.Errorf("read the copy again: %w", err)
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("the copy holds %d objects, the store %d, or other revisions of them", len(got), len(want))
	}
	_, name, err := b.next()
	if err != nil {
		return err
	}
	if err := atomicfile.Rename(file, filepath.Join(b.Dir, name+backupSuffix)); err != nil {
		return err
	}
	return syncFolder(b.Dir)
}

// prune removes the oldest backups above backupLimit, and unfinished ones.
func (b Backups) prune() error {
	have, err := b.List()
	errs := []error{err}
	for _, old := range have[min(len(have), backupLimit):] {
		errs = append(errs, os.Remove(old.Path))
	}
	half, err := fs.Glob(os.DirFS(b.Dir), unfinishedPrefix+"*") // filepath.Glob would take a [ in b.Dir for a pattern
	errs = append(errs, err)
	for _, name := range half {
		errs = append(errs, os.Remove(filepath.Join(b.Dir, name)))
	}
	return errors.Join(errs...)
}

// Look checks the backup in a file and says what it holds. It changes nothing.
func (b Backups) Look(ctx context.Context, file string) (c Contents, err error) {
	if _, err := os.Stat(file); err != nil {
		return nil, err
	}
	dsn := sqliteURL(file, "mode=ro&immutable=1") // which would leave out a log
	if _, err := os.Stat(file + "-wal"); err == nil {
		dir, err := scratch.New("rdd-backup-")
		if err != nil {
			return nil, err
		}
		defer func() { _ = dir.Close() }()
		copied, err := copyDatabase(file, dir.Path)
		if err != nil {
			return nil, err
		}
		dsn = sqliteDSN(copied)
	}
	db, err := openFile(dsn)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := quickCheck(ctx, db); err != nil {
		return nil, err
	}
	return contents(ctx, db)
}

// same says whether two stores hold the same, except for the passing keys.
func same(a, b Contents, passing []string) bool {
	a, b = maps.Clone(a), maps.Clone(b)
	for _, key := range passing {
		delete(a, key)
		delete(b, key)
	}
	return maps.Equal(a, b)
}

// newest selects the newest revision of each key that isn't deleted.
const newest = `id IN (SELECT MAX(id) FROM kine GROUP BY name) AND deleted = 0`

// contents reads the keys and their revisions, except for kine's own key.
func contents(ctx context.Context, db *sql.DB) (Contents, error) {
	rows, err := db.QueryContext(ctx, `SELECT name, id FROM kine WHERE name != ? AND `+newest, sqliteAnyKey)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	c := Contents{}
	for rows.Next() {
		var key string
		var revision int64
		if err := rows.Scan(&key, &revision); err != nil {
			return nil, err
		}
		c[key] = revision
	}
	return c, rows.Err()
}

// copyObjects fills an empty file with the objects of a store. With a compacted revision, all older
// ones count as compacted there, so that whoever watched the former store must list again. The next
// revision is the one after it.
func copyObjects(ctx context.Context, db *sql.DB, file string, compacted int64) error {
	conn, err := db.Conn(ctx) // what is attached belongs to one connection
	if err != nil {
		return err
	}
	defer conn.Close()
	run := func(statement string, args ...any) {
		if err == nil {
			_, err = conn.ExecContext(ctx, statement, args...)
		}
	}
	run(`ATTACH DATABASE ? AS copy`, file)
	if err != nil {
		return err
	}
	// The copy needs no journal: an unfinished one is deleted. The caller syncs it.
	run(`PRAGMA copy.journal_mode = OFF`)
	run(`PRAGMA copy.synchronous = OFF`)
	run(`BEGIN`)
	run(strings.Replace(sqliteSchema[0], " kine ", " copy.kine ", 1))
	run(`INSERT INTO copy.kine (id, name, created, deleted, create_revision, prev_revision, lease, value)
		SELECT id, name, created, deleted, create_revision, prev_revision, lease, value FROM main.kine WHERE ` + newest)
	if compacted > 0 {
		run(`DELETE FROM copy.kine WHERE name = ?`, sqliteAnyKey)
		run(`INSERT INTO copy.kine (id, name, created, deleted, create_revision, prev_revision, lease, value)
			VALUES (?, ?, 1, 0, 0, ?, 0, '')`, compacted, sqliteAnyKey, compacted)
	}
	run(`COMMIT`)
	if err != nil {
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), `ROLLBACK`)
	}
	_, e := conn.ExecContext(context.WithoutCancel(ctx), `DETACH DATABASE copy`)
	return errors.Join(err, e)
}

// openFile opens a database that kine doesn't serve.
func openFile(dsn string) (*sql.DB, error) {
	connector, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// syncFile puts a file on the disk. Windows does that only for one that is open for writing.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// syncFolder puts the names in a folder on the disk, if the system can do that.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	_ = d.Sync() // Windows refuses it for a folder
	return d.Close()
}
