package datastore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"

	"rancherdesktop.io/rdd/internal/datastore"
	"rancherdesktop.io/rdd/internal/testenv"
)

// openSQLite opens a store, and its file beside it.
func openSQLite(t *testing.T) (*datastore.Store, *sql.DB) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, datastore.Options{Dir: dir})
	db, err := sql.Open("sqlite", filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return s, db
}

// put writes a key that was last changed in a revision (0: isn't there), and returns the new revision.
func put(t *testing.T, s *datastore.Store, key, value string, revision int64) int64 {
	t.Helper()
	r, err := s.Client.Kubernetes.OptimisticPut(t.Context(), key, []byte(value), revision, kubernetes.PutOptions{GetOnFailure: revision != 0})
	if err != nil || !r.Succeeded {
		t.Fatalf("put %s: %+v, %v", key, r, err)
	}
	return r.Revision
}

func TestOneOfManyRacingWritersWins(t *testing.T) {
	s, _ := openSQLite(t)
	race := func(revision int64) (won int64) {
		t.Helper()
		var wins atomic.Int32
		var all sync.WaitGroup
		for n := range 16 {
			all.Go(func() {
				r, err := s.Client.Kubernetes.OptimisticPut(t.Context(), "/registry/contended", fmt.Append(nil, n), revision, kubernetes.PutOptions{GetOnFailure: revision != 0})
				switch {
				case err != nil:
					t.Error(err)
				case r.Succeeded:
					wins.Add(1)
					atomic.StoreInt64(&won, r.Revision)
				case revision != 0 && (r.KV == nil || r.KV.ModRevision == revision):
					t.Errorf("who lost is told %+v, not what is there now", r)
				}
			})
		}
		all.Wait()
		if wins.Load() != 1 {
			t.Fatalf("%d writers won at revision %d", wins.Load(), revision)
		}
		return won
	}
	race(race(0))
}

func TestWatchGoesOnOverACompactionAndOldRevisionsAreGone(t *testing.T) {
	s, db := openSQLite(t)
	first := put(t, s, "/registry/a", "0", 0)
	watch := s.Client.Watch(t.Context(), "/registry/", clientv3.WithPrefix(), clientv3.WithRev(first), clientv3.WithPrevKV())
	last := first
	for n := range 20 {
		last = put(t, s, "/registry/a", fmt.Sprint(n+1), last)
	}
	var values []string
	read := func(count int) {
		t.Helper()
		for len(values) < count {
			r, open := <-watch
			if !open || r.Err() != nil {
				t.Fatalf("the watch is broken off: %v", r.Err())
			}
			for _, e := range r.Events {
				values = append(values, string(e.Kv.Value))
			}
		}
	}
	read(21) // what is deleted first is never told
	// As kine compacts, which leaves the last thousand revisions alone.
	for _, statement := range []string{
		`UPDATE kine SET prev_revision = ? WHERE name = 'compact_rev_key'`,
		`DELETE FROM kine WHERE name = '/registry/a' AND id < ?`,
	} {
		if _, err := db.Exec(statement, last); err != nil {
			t.Fatal(err)
		}
	}
	last = put(t, s, "/registry/a", "21", last)
	read(22)
	for n, v := range values {
		if v != fmt.Sprint(n) {
			t.Fatalf("the watch tells %v", values)
		}
	}

	if r := <-s.Client.Watch(t.Context(), "/registry/", clientv3.WithPrefix(), clientv3.WithRev(first)); !errors.Is(r.Err(), rpctypes.ErrCompacted) {
		t.Errorf("a watch from before the compaction: %v", r.Err())
	}
	if _, err := s.Client.Get(t.Context(), "/registry/a", kubernetes.GetOptions{Revision: first}); !errors.Is(err, rpctypes.ErrCompacted) {
		t.Errorf("a get from before the compaction: %v", err)
	}
	if _, err := s.Client.List(t.Context(), "/registry/", kubernetes.ListOptions{Revision: first}); !errors.Is(err, rpctypes.ErrCompacted) {
		t.Errorf("a list from before the compaction: %v", err)
	}
	if _, err := s.Client.List(t.Context(), "/registry/", kubernetes.ListOptions{Revision: last + 100}); !errors.Is(err, rpctypes.ErrFutureRev) {
		t.Errorf("a list of the future: %v", err)
	}
	if r := <-s.Client.Watch(t.Context(), "/registry/", clientv3.WithPrefix(), clientv3.WithRev(last+100)); !errors.Is(r.Err(), rpctypes.ErrFutureRev) {
		t.Errorf("a watch of the future: %v", r.Err())
	}
}

func TestWatchTellsTheRevisionWhenAskedForProgress(t *testing.T) {
	s, _ := openSQLite(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	watch := s.Client.Watch(ctx, "/registry/watched", clientv3.WithCreatedNotify())
	if r := <-watch; !r.Created {
		t.Fatalf("the watch was not made: %+v", r)
	}
	want := put(t, s, "/registry/other", "x", 0)
	for asked := true; asked; {
		if err := s.Client.RequestProgress(ctx); err != nil {
			t.Fatal(err)
		}
		select {
		case r := <-watch:
			if !r.IsProgressNotify() || r.Header.Revision != want {
				t.Fatalf("the watch tells %+v, want revision %d and nothing else", r, want)
			}
			asked = false
		case <-time.After(10 * time.Millisecond): // the watch has not heard of the write yet
		}
	}
}

func TestRequestThatIsCanceledSaysSo(t *testing.T) {
	s, db := openSQLite(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Client.Get(ended, "/registry/a", kubernetes.GetOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("get: %v", err)
	}
	watch := s.Client.Watch(ended, "/registry/a")
	if r, open := <-watch; open {
		t.Errorf("the watch tells %+v", r)
	}

	// Somebody else writes for longer than the request may take.
	other, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	limited, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := s.Client.Kubernetes.OptimisticPut(limited, "/registry/late", []byte("x"), 0, kubernetes.PutOptions{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a write at its deadline: %v", err)
	}
	if _, err := other.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	put(t, s, "/registry/late", "x", 0) // neither written before nor in the way
}

func TestCloseEndsWhatRuns(t *testing.T) {
	before := working()
	s, _ := openSQLite(t)
	var all sync.WaitGroup
	for n := range 4 {
		watch := s.Client.Watch(context.Background(), "/registry/", clientv3.WithPrefix(), clientv3.WithProgressNotify(), clientv3.WithCreatedNotify())
		if r := <-watch; !r.Created {
			t.Fatalf("the watch was not made: %+v", r)
		}
		all.Go(func() {
			for r := range watch {
				if r.Err() != nil {
					t.Errorf("a watch ends with %v", r.Err())
				}
			}
		})
		s.Client.Watch(context.Background(), "/registry/", clientv3.WithPrefix()) // nobody reads this one
		all.Go(func() {
			for i := 0; ; i++ {
				_, err := s.Client.Kubernetes.OptimisticPut(context.Background(), fmt.Sprintf("/registry/%d/%d", n, i), []byte("x"), 0, kubernetes.PutOptions{})
				if err == nil {
					_, err = s.Client.Get(context.Background(), "/registry/0/0", kubernetes.GetOptions{})
				}
				if err != nil {
					if !errors.Is(err, rpctypes.ErrStopped) {
						t.Errorf("a request during the close: %v", err)
					}
					return
				}
			}
		})
	}
	for { // until all are at work
		if r, err := s.Client.Get(t.Context(), "/registry/3/3", kubernetes.GetOptions{}); err != nil || r.KV != nil {
			break
		}
	}
	begin := time.Now()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 8*time.Second { // less than drainTimeout
		t.Errorf("the close took %v although all requests could end", took)
	}
	all.Wait()
	if r, open := <-s.Client.Watch(t.Context(), "/registry/"); open {
		t.Errorf("a closed store is watched: %+v", r)
	}
	var left map[string]string
	if !testenv.Within(func() bool {
		left = working()
		maps.DeleteFunc(left, func(id, _ string) bool { return before[id] != "" })
		return len(left) == 0
	}) {
		t.Fatalf("goroutines are left:\n%s", slices.Collect(maps.Values(left)))
	}
}

// working are the goroutines of this package and of kine, but not of the tests: their
// stacks by their numbers.
func working() map[string]string {
	buffer := make([]byte, 1<<20)
	found := map[string]string{}
	for stack := range strings.SplitSeq(string(buffer[:runtime.Stack(buffer, true)]), "\n\n") {
		if strings.Contains(stack, "/kine/") || strings.Contains(stack, "internal/datastore.") {
			id, _, _ := strings.Cut(stack, " [")
			found[id] = stack
		}
	}
	return found
}

func TestLargeListIsWhole(t *testing.T) {
	s, db := openSQLite(t)
	put(t, s, "/registry/first", "x", 0)
	const count = 3000
	_, err := db.Exec(`WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)
		INSERT INTO kine(name, created, deleted, create_revision, prev_revision, lease, value)
		SELECT printf('/registry/large/%06d', i), 1, 0, 0, 0, 0, zeroblob(4000) FROM n`, count)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := s.Client.GetStream(t.Context(), "/registry/large/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	var streamed int
	var revision int64
	for r := range stream {
		if r.Err() != nil {
			t.Fatal(r.Err())
		}
		streamed += len(r.Kvs)
		revision = r.Header.Revision
	}
	if streamed != count || revision == 0 {
		t.Errorf("the stream has %d keys of revision %d, want %d", streamed, revision, count)
	}

	var paged int
	o := kubernetes.ListOptions{Limit: 700, Revision: revision}
	for more := true; more; {
		r, err := s.Client.List(t.Context(), "/registry/large/", o)
		if err != nil {
			t.Fatal(err)
		}
		if want := int64(count - paged); r.Count != want {
			t.Fatalf("after %d keys the list counts %d more, want %d", paged, r.Count, want)
		}
		for _, kv := range r.Kvs {
			if want := fmt.Sprintf("/registry/large/%06d", paged); string(kv.Key) != want || len(kv.Value) != 4000 {
				t.Fatalf("key %d is %s with %d bytes", paged, kv.Key, len(kv.Value))
			}
			paged++
			o.Continue = string(kv.Key) + "\x00"
		}
		more = int64(len(r.Kvs)) < r.Count
	}
	if paged != count {
		t.Errorf("the pages have %d keys, want %d", paged, count)
	}
	if n, err := s.Client.Count(t.Context(), "/registry/large/", kubernetes.CountOptions{}); err != nil || n != count {
		t.Errorf("count: %d, %v", n, err)
	}
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := s.Client.GetStream(short, "/registry/large/", clientv3.WithPrefix()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a list at its deadline: %v", err)
	}
}

func BenchmarkGet(b *testing.B) {
	s, err := datastore.Open(b.Context(), datastore.Options{Dir: filepath.Join(b.TempDir(), "store")})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Client.Get(b.Context(), "/registry/health", kubernetes.GetOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCreate(b *testing.B) {
	s, err := datastore.Open(b.Context(), datastore.Options{Dir: filepath.Join(b.TempDir(), "store")})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		r, err := s.Client.Kubernetes.OptimisticPut(b.Context(), fmt.Sprint("/registry/", n), []byte("value"), 0, kubernetes.PutOptions{})
		if err != nil || !r.Succeeded {
			b.Fatal(err)
		}
	}
}
