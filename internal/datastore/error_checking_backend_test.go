package datastore

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"modernc.org/sqlite"
)

// A disk that runs full is made for real: SQLite may not make its file any longer.
func TestWriteToAFullDiskIsNotReportedAsDone(t *testing.T) {
	life, work, connector := database(t, "&_pragma=max_page_count(40)")
	store, _, err := startSQLite(life, work, connector, sqlitePollInterval)
	if err != nil {
		t.Fatal(err)
	}
	revision, err := store.Create(t.Context(), "/registry/small", []byte("fits"), 0)
	if err != nil {
		t.Fatal(err)
	}
	large := bytes.Repeat([]byte("x"), 1<<20)
	if _, err := store.Create(t.Context(), "/registry/large", large, 0); err == nil {
		t.Error("a create that found no room was reported as done")
	}
	if _, _, _, err := store.Update(t.Context(), "/registry/small", large, revision, 0); err == nil {
		t.Error("an update that found no room was reported as a conflict, which the API server would try again forever")
	}
	_, kv, err := store.Get(t.Context(), "/registry/small", 0, false)
	if err != nil || kv == nil || string(kv.Value) != "fits" {
		t.Errorf("the value from before: %v, %v", kv, err)
	}
}

// What was acknowledged is on the disk only if every connection asks for it.
func TestEveryConnectionIsDurable(t *testing.T) {
	life, work, connector := database(t, "")
	_, pool, err := startSQLite(life, work, connector, sqlitePollInterval)
	if err != nil {
		t.Fatal(err)
	}
	for range pool.Stats().MaxOpenConnections {
		limited, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		conn, err := pool.Conn(limited) // held, so that the next is another
		if err != nil {
			break // the watches hold one for good
		}
		defer conn.Close()
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "busy_timeout": "10000"} {
			var got string
			if err := conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s is %q, want %q: %v", pragma, got, want, err)
			}
		}
	}
}

// database makes one with kine's table, and what a store on it needs.
func database(t *testing.T, parameters string) (life context.Context, work *sync.WaitGroup, connector driver.Connector) {
	t.Helper()
	connector, err := sqlite.NewConnector(sqliteDSN(filepath.Join(t.TempDir(), "state.db")) + parameters)
	if err != nil {
		t.Fatal(err)
	}
	if err := prepare(t.Context(), sql.OpenDB(connector)); err != nil {
		t.Fatal(err)
	}
	life, end := context.WithCancel(context.Background())
	work = &sync.WaitGroup{}
	t.Cleanup(func() { end(); work.Wait() })
	return life, work, connector
}
