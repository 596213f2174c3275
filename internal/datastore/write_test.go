package datastore

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"

	"rancherdesktop.io/rdd/internal/testenv"
)

func TestWritesThatWaitShareACommit(t *testing.T) {
	life, work, connector := database(t, "")
	counting := &countingConnector{Connector: connector}
	dialect, err := newDialect(life, work, counting)
	if err != nil {
		t.Fatal(err)
	}
	var writes []pendingWrite
	whileLocked(t, dialect, func() {
		for n := range 8 {
			writes = append(writes, begin(t, dialect, fmt.Sprint("/registry/", n), 0, "x"))
		}
		writes = append(writes, begin(t, dialect, "/registry/0", 0, "second")) // the key is there by then
	})
	var revisions []int64
	for n, w := range writes {
		result := <-w
		if result.err != nil || (result.revision == 0) != (n == 8) {
			t.Errorf("write %d: %+v", n, result)
		}
		revisions = append(revisions, result.revision)
	}
	if slices.Sort(revisions); revisions[1] == 0 || len(slices.Compact(revisions)) != len(writes) {
		t.Errorf("revisions %v", revisions)
	}
	if n := counting.transactions.Load(); n != 1 {
		t.Errorf("%d transactions, want 1", n)
	}
}

func TestWriteThatFailsDoesNotFailOthers(t *testing.T) {
	life, work, connector := database(t, "&_pragma=max_page_count(40)")
	dialect, err := newDialect(life, work, connector)
	if err != nil {
		t.Fatal(err)
	}
	var before, large, after pendingWrite
	whileLocked(t, dialect, func() {
		before = begin(t, dialect, "/registry/before", 0, "fits")
		large = begin(t, dialect, "/registry/large", 0, string(bytes.Repeat([]byte("x"), 1<<20)))
		after = begin(t, dialect, "/registry/after", 0, "fits")
	})
	if r := <-large; r.err == nil {
		t.Error("a write that found no room was reported as done")
	}
	for _, w := range []pendingWrite{before, after} {
		if r := <-w; r.err != nil || r.revision == 0 {
			t.Errorf("a write that had room: %+v", r)
		}
	}
}

func TestWriteThatIsCanceledWhileItWaitsIsNotWritten(t *testing.T) {
	life, work, connector := database(t, "")
	dialect, err := newDialect(life, work, connector)
	if err != nil {
		t.Fatal(err)
	}
	whileLocked(t, dialect, func() {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := insert(ctx, dialect, "/registry/canceled", 0, "x"); !errors.Is(err, context.Canceled) {
			t.Errorf("the canceled write: %v", err)
		}
	})
	if revision, err := insert(t.Context(), dialect, "/registry/canceled", 0, "x"); err != nil || revision == 0 {
		t.Errorf("the key is there: %d, %v", revision, err)
	}
}

func TestWatchHearsOfAWriteWhoseClientIsGone(t *testing.T) {
	life, work, connector := database(t, "")
	hooked := &hookedConnector{Connector: connector}
	backend, _, err := startSQLite(life, work, hooked, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(backend, newCalls())
	events := client.Watch(t.Context(), "/registry/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	if r := <-events; !r.Created {
		t.Fatalf("the watch was not made: %+v", r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	leave := func() {
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("the client got %v", err)
		}
	}
	hooked.beforeCommit.Store(&leave)
	go func() {
		_, err := client.Kubernetes.OptimisticPut(ctx, "/registry/a", []byte("x"), 0, kubernetes.PutOptions{})
		gone <- err
	}()
	testenv.Eventually(t, "the watch hears of the write", func() bool {
		select {
		case r := <-events:
			return len(r.Events) == 1
		default:
			return false
		}
	})
}

// A request ends its context as soon as it has its answer.
func TestAnsweredWriteWakesNoWatchASecondTime(t *testing.T) {
	life, work, connector := database(t, "")
	dialect, err := newDialect(life, work, connector)
	if err != nil {
		t.Fatal(err)
	}
	dialect.notify = func(context.Context) { t.Error("the watches were woken for a write whose client has its answer") }
	for n := range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		revision, err := insert(ctx, dialect, fmt.Sprint("/registry/", n), 0, "x")
		cancel()
		if err != nil || revision == 0 {
			t.Fatal(revision, err)
		}
	}
}

// whileLocked calls begin while no write can be committed.
func whileLocked(t *testing.T, d *sqliteDialect, begin func()) {
	t.Helper()
	d.writer <- struct{}{}
	defer func() { <-d.writer }()
	begin()
}

type pendingWrite <-chan result

// begin begins a write, and returns when it is in the queue.
func begin(t *testing.T, d *sqliteDialect, key string, previous int64, value string) pendingWrite {
	t.Helper()
	waiting := func() int {
		d.queue.mu.Lock()
		defer d.queue.mu.Unlock()
		return len(d.queue.waiting)
	}
	n := waiting()
	results := make(chan result, 1)
	go func() {
		revision, err := insert(t.Context(), d, key, previous, value)
		results <- result{revision, err}
	}()
	testenv.Eventually(t, "the write waits", func() bool { return waiting() == n+1 })
	return results
}

func insert(ctx context.Context, d *sqliteDialect, key string, previous int64, value string) (int64, error) {
	return singleWrite{dialect: d}.Insert(ctx, key, previous == 0, false, previous, 0, []byte(value))
}

// countingConnector counts the transactions of its connections.
type countingConnector struct {
	driver.Connector
	transactions atomic.Int32
}

func (c *countingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return countingConn{conn.(sqliteConn), c}, nil
}

type countingConn struct {
	sqliteConn
	connector *countingConnector
}

func (c countingConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	c.connector.transactions.Add(1)
	return c.sqliteConn.BeginTx(ctx, o)
}

// hookedConnector calls a function once, before the next commit of one of its connections.
type hookedConnector struct {
	driver.Connector
	beforeCommit atomic.Pointer[func()]
}

func (c *hookedConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return hookedConn{conn.(sqliteConn), c}, nil
}

type hookedConn struct {
	sqliteConn
	connector *hookedConnector
}

func (c hookedConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	tx, err := c.sqliteConn.BeginTx(ctx, o)
	return hookedTx{tx, c.connector}, err
}

type hookedTx struct {
	driver.Tx
	connector *hookedConnector
}

func (tx hookedTx) Commit() error {
	if before := tx.connector.beforeCommit.Swap(nil); before != nil {
		(*before)()
	}
	return tx.Tx.Commit()
}
