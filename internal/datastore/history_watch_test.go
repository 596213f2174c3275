package datastore

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/k3s-io/kine/pkg/server"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"

	"rancherdesktop.io/rdd/internal/datastore/storefile"
)

// An object that was made before the last compaction is changed between a client's list and its watch.
func TestWatchIsNotBrokenByAChangeOfAnOldObject(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := s.Client
	put := func(key, value string, was int64) int64 {
		t.Helper()
		r, err := c.Kubernetes.OptimisticPut(t.Context(), key, []byte(value), was, kubernetes.PutOptions{})
		if err != nil || !r.Succeeded {
			t.Fatalf("put %s: %v %+v", key, err, r)
		}
		return r.Revision
	}
	made := put("/registry/old", "one", 0)
	put("/registry/other", "x", 0)
	listed := put("/registry/another", "x", 0)
	// As after a compaction; kine's own leaves the last thousand revisions alone.
	db, err := openFile(sqliteDSN(storefile.Database(dir)))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`UPDATE kine SET prev_revision = ? WHERE name = 'compact_rev_key'`, listed-1); err != nil {
		t.Fatal(err)
	}
	put("/registry/old", "two", made)

	events := c.Watch(t.Context(), "/registry/", clientv3.WithPrefix(), clientv3.WithRev(listed+1), clientv3.WithPrevKV())
	r := <-events
	if r.Err() != nil || len(r.Events) != 1 || r.Events[0].PrevKv == nil || string(r.Events[0].PrevKv.Value) != "one" {
		t.Errorf("the watch tells %+v, error %v; want one change with the value before it", r.Events, r.Err())
	}
	if r := <-c.Watch(t.Context(), "/registry/", clientv3.WithPrefix(), clientv3.WithRev(made)); r.CompactRevision == 0 {
		t.Errorf("a watch from before the compaction is told %+v, want that this is compacted", r)
	}
}

// A watch from the past would otherwise go on as if it had told everything.
func TestChangesThatAreCutShortAreAnError(t *testing.T) {
	db, err := openFile(sqliteDSN(filepath.Join(t.TempDir(), "state.db")))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	batch, err := historyWatch{dialect: cutShort{db: db}}.After(t.Context(), "/registry/", "/registry0", 1, 0)
	if err == nil {
		t.Errorf("%d changes and no error", len(batch.Events))
	}
}

// cutShort has two changes, of which the second can't be read.
type cutShort struct {
	server.Dialect
	db *sql.DB
}

func (d cutShort) After(ctx context.Context, _, _ string, _, _ int64) (*sql.Rows, error) {
	return d.db.QueryContext(ctx, `SELECT 2, 0, abs(column1), '/registry/a', 1, 0, 0, 0, 0, x'', x''
		FROM (VALUES (1), (-9223372036854775807 - 1))`)
}
