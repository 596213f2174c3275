package datastore

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/k3s-io/kine/pkg/server"
)

// write is a row to insert. Its result is there when done is closed.
type write struct {
	ctx     context.Context //nolint:containedctx // of the request, which waits for done
	insert  func(context.Context, server.Transaction) (revision int64, err error)
	settled atomic.Bool // set by whoever is first: the request when it leaves, or the one that has the result
	done    chan struct{}
	result
}

type result struct {
	revision int64 // 0 for a row that came too late
	err      error
}

// writeQueue holds the writes that wait for the next transaction.
type writeQueue struct {
	mu      sync.Mutex
	waiting []*write
}

func (q *writeQueue) add(w *write) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, w)
}

// takeAll empties the queue. It returns the writes that somebody still waits for.
func (q *writeQueue) takeAll() []*write {
	q.mu.Lock()
	defer q.mu.Unlock()
	writes := slices.DeleteFunc(q.waiting, func(w *write) bool { return w.ctx.Err() != nil })
	q.waiting = nil
	return writes
}

// singleWrite is a transaction that inserts one row. Insert commits it.
type singleWrite struct {
	server.Transaction // nil: kine asks nothing else of it
	dialect            *sqliteDialect
}

func (t singleWrite) Insert(ctx context.Context, key string, created, deleted bool, previous, lease int64, value []byte) (int64, error) {
	return t.dialect.write(ctx, func(ctx context.Context, tx server.Transaction) (int64, error) {
		return tx.Insert(ctx, key, created, deleted, previous, lease, value)
	})
}

func (singleWrite) Commit() error   { return nil }
func (singleWrite) Rollback() error { return nil }

// write inserts a row, and returns when it is on the disk. Most of a commit is waiting
// for the disk, so whoever gets the lock has all rows committed that wait by then.
func (d *sqliteDialect) write(ctx context.Context, insert func(context.Context, server.Transaction) (int64, error)) (int64, error) {
	w := &write{ctx: ctx, insert: insert, done: make(chan struct{})}
	d.queue.add(w)
	for lock := d.writer; ; lock = nil {
		select {
		case lock <- struct{}{}:
			d.work.Go(d.commitWaiting)
		case <-w.done:
			return w.revision, w.err
		case <-ctx.Done():
			if w.settled.Swap(true) {
				<-w.done
				return w.revision, w.err
			}
			return 0, context.Cause(ctx)
		}
	}
}

// commitWaiting commits all rows that wait, and frees the lock. If that fails, it writes
// each row alone, so that only those that can't be written get an error. It wakes the
// watches for a row whose client didn't wait for that.
func (d *sqliteDialect) commitWaiting() {
	writes := d.queue.takeAll()
	if len(writes) < 2 || d.commit(writes) != nil {
		for _, w := range writes {
			if err := d.commit([]*write{w}); err != nil {
				w.result = result{err: err}
			}
		}
	}
	<-d.writer
	unheard := false // a row was written whose request has left
	for _, w := range writes {
		if w.settled.Swap(true) && w.err == nil {
			unheard = true
		}
		close(w.done)
	}
	if unheard {
		d.notify(context.Background())
	}
}

// commit writes rows in one transaction, for as long as the first one may take. After an
// error none is written.
func (d *sqliteDialect) commit(writes []*write) error {
	ctx := writes[0].ctx
	tx, err := d.Generic.BeginTx(ctx, &sql.TxOptions{})
	if err != nil {
		return err
	}
	for _, w := range writes {
		if w.ctx.Err() != nil {
			w.result = result{err: context.Cause(w.ctx)}
			continue
		}
		w.revision, w.err = w.insert(ctx, tx)
		if w.err != nil && !errors.Is(w.err, server.ErrKeyExists) { // for a key that exists, SQLite undoes only this row
			return errors.Join(w.err, tx.Rollback())
		}
	}
	return tx.Commit()
}
