package datastore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/k3s-io/kine/pkg/drivers/generic"
	"github.com/k3s-io/kine/pkg/logstructured/sqllog"
	"github.com/k3s-io/kine/pkg/query"
	"github.com/k3s-io/kine/pkg/server"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"rancherdesktop.io/rdd/internal/datastore/storefile"
)

const (
	// sqlitePollInterval is long, because our own writes wake the watches and nobody else
	// writes to the file.
	sqlitePollInterval = 10 * time.Second
	// sqliteAnyKey is a key that every store has: kine's own note of the last compaction.
	sqliteAnyKey = "compact_rev_key"
	// sqliteConnectionLimit is enough for eight busy clients. Each connection has a page
	// cache and prepared statements.
	sqliteConnectionLimit = 4
	// sqliteIdleTimeout is how long an idle connection is kept after a burst of work.
	sqliteIdleTimeout = 15 * time.Second
)

// sqliteSchema is the table that kine's queries use. Ids are revisions and must never be
// used twice, so it has AUTOINCREMENT. The first index finds the newest revision of a
// name, however long its history is. The second lets one of two racing writers win.
var sqliteSchema = []string{
	`CREATE TABLE IF NOT EXISTS kine (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		name TEXT,
		created INTEGER,
		deleted INTEGER,
		create_revision INTEGER,
		prev_revision INTEGER,
		lease INTEGER,
		value BLOB,
		old_value BLOB)`,
	`CREATE INDEX IF NOT EXISTS kine_name_id_index ON kine (name, id)`,
	`CREATE UNIQUE INDEX IF NOT EXISTS kine_name_prev_revision_uindex ON kine (name, prev_revision)`,
}

// sqliteCompact deletes the revisions in (?, ?] that a newer one replaced, and the
// tombstones of deleted keys.
const sqliteCompact = `
	DELETE FROM kine WHERE id IN (
		SELECT prev_revision FROM kine
		WHERE id > ? AND id <= ? AND prev_revision != 0 AND name != 'compact_rev_key'
		UNION ALL
		SELECT id FROM kine WHERE id > ? AND id <= ? AND deleted != 0)`

// openSQLite opens the database in dir, or makes it. It doesn't use kine's own SQLite
// driver: that one refuses Windows paths, and is another driver with cgo.
func openSQLite(ctx context.Context, dir string) (*Store, error) {
	file := storefile.Database(dir)
	if err := finishRestore(dir); err != nil { // one that was killed
		return nil, fmt.Errorf("datastore: put the restored store in its place: %w", err)
	}
	if err := ensureDatabase(dir, file); err != nil {
		return nil, err
	}
	connector, err := sqlite.NewConnector(sqliteDSN(file))
	if err != nil {
		return nil, fmt.Errorf("datastore %s: %w", file, err)
	}
	if err := prepare(ctx, sql.OpenDB(connector)); err != nil {
		return nil, classify(file, err)
	}
	if err := storefile.NoteUse(dir); err != nil {
		return nil, fmt.Errorf("datastore: %w", err)
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	store := inProcess{cancel: cancel, work: &sync.WaitGroup{}}
	if store.backend, store.pool, err = startSQLite(life, store.work, connector, sqlitePollInterval); err != nil {
		return nil, errors.Join(classify(file, err), store.end())
	}
	s := store.store()
	end := s.close
	s.close = func() error { return errors.Join(end(), closeLog(file)) }
	return s, nil
}

// closeLog writes SQLite's log into the database and removes the log. The last connection
// does that when it closes, but two that close at once leave it to each other.
func closeLog(file string) error {
	if _, err := os.Stat(file + "-wal"); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	db, err := openFile(sqliteDSN(file))
	if err != nil {
		return err
	}
	_, err = db.Exec(`PRAGMA wal_checkpoint(TRUNCATE)`)
	return errors.Join(err, db.Close())
}

// startSQLite starts kine on a database that has its table.
func startSQLite(life context.Context, work *sync.WaitGroup, connector driver.Connector, poll time.Duration) (server.Backend, *sql.DB, error) {
	dialect, err := newDialect(life, work, connector)
	if err != nil {
		return nil, nil, err
	}
	log := sqllog.New(dialect, work, tuning(poll))
	dialect.notify = func(ctx context.Context) { _, _ = log.List(ctx, sqliteAnyKey, "", 1, 0, false, true) }
	backend := newErrorCheckingBackend(historyWatch{log, dialect})
	return backend, dialect.DB, backend.Start(life)
}

func newDialect(life context.Context, work *sync.WaitGroup, connector driver.Connector) (*sqliteDialect, error) {
	pool := generic.ConnectionPoolConfig{MaxIdle: sqliteConnectionLimit, MaxOpen: sqliteConnectionLimit, MaxIdleTime: sqliteIdleTimeout}
	db, err := generic.OpenDB(life, work, "sqlite", preparingConnector{connector}, pool, "?", false, nil)
	if err != nil {
		return nil, err
	}
	db.LastInsertID = true
	db.GetSizeSQL = query.New(`SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()`, "?", false, "GetSize")
	db.CompactSQL = query.New(sqliteCompact, "?", false, "Compact")
	db.TranslateErr = sqliteConflict
	db.ErrCode = sqliteCode
	return &sqliteDialect{Generic: db, work: work, writer: make(chan struct{}, 1)}, nil
}

// ensureDatabase makes the database file if there is none, with mode 0600: SQLite gives
// the files beside it the same mode. If there was a store and its file is gone or empty,
// it returns a *DamagedError: an empty store would look as if there had never been one.
func ensureDatabase(dir, file string) error {
	err := storefile.Check(dir)
	if _, damaged := errors.AsType[*DamagedError](err); damaged {
		return err
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("datastore: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("datastore folder: %w", err)
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("datastore: %w", err)
	}
	return f.Close()
}

// sqliteDSN names the file of a store. Every acknowledged write is on the disk:
// synchronous is FULL.
func sqliteDSN(file string) string {
	q := url.Values{
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "cache_size(-1000)"},
		"_txlock": {"immediate"},
	}
	return sqliteURL(file, q.Encode())
}

// sqliteURL is the file's URL. It also works for C:\… and for folder names with a ?.
func sqliteURL(file, query string) string {
	path := filepath.ToSlash(file)
	if path[0] != '/' {
		path = "/" + path
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: query}).String()
}

// prepare checks the database and makes the table.
func prepare(ctx context.Context, db *sql.DB) error {
	defer db.Close()
	if err := quickCheck(ctx, db); err != nil {
		return err
	}
	for _, statement := range sqliteSchema {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// quickCheck has SQLite check every page of a database.
func quickCheck(ctx context.Context, db *sql.DB) error {
	var verdict string
	if err := db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s", errDamaged, strings.ReplaceAll(verdict, "\n", " "))
	}
	return nil
}

var errDamaged = errors.New("the file is damaged")

// DamagedError means that the store's database is damaged, empty or gone.
type DamagedError = storefile.DamagedError

// classify returns a *DamagedError when err says that the file is damaged. Users can then
// restore a backup.
func classify(file string, err error) error {
	var failed *sqlite.Error
	damaged := errors.Is(err, errDamaged)
	if errors.As(err, &failed) {
		primary := failed.Code() & 0xff
		damaged = primary == sqlite3.SQLITE_CORRUPT || primary == sqlite3.SQLITE_NOTADB
	}
	if damaged {
		return &DamagedError{File: file, Err: err}
	}
	return fmt.Errorf("datastore %s: %w", file, err)
}

// sqliteConflict tells kine that another writer was first.
func sqliteConflict(err error) error {
	var failed *sqlite.Error
	if errors.As(err, &failed) && failed.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE {
		return server.ErrKeyExists
	}
	return err
}

// sqliteCode is the label of an error in kine's metrics.
func sqliteCode(err error) string {
	var failed *sqlite.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &failed):
		return sqlite.ErrorCodeString[failed.Code()]
	}
	return "other"
}
