package datastore

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"github.com/k3s-io/kine/pkg/drivers/generic"
	"github.com/k3s-io/kine/pkg/query"
	"github.com/k3s-io/kine/pkg/server"
	"github.com/sirupsen/logrus"
)

// sqliteDialect is kine's SQL with two corrections for SQLite: watches hear of the first
// write at once, and writers queue.
type sqliteDialect struct {
	*generic.Generic
	notify func(context.Context)
	writer chan struct{} // holds one value while a transaction is open
}

// PrepareAfter prepares the query of kine's poll loop, and wakes the loop again. The loop
// prepares its query at the first change, and then waits for the next one or for
// sqlitePollInterval, so that watches would hear of the first change late. The context is
// without cancellation, because the loop loses a connection when this is canceled.
func (d *sqliteDialect) PrepareAfter(ctx context.Context, limit int64) (*query.Stmt, error) {
	statement, err := d.Generic.PrepareAfter(context.WithoutCancel(ctx), limit)
	if err == nil {
		d.notify(ctx)
	}
	return statement, err
}

// BeginTx lets one writer in at a time, in order. SQLite would let the others sleep and
// try again, each on a connection that a reader could use.
func (d *sqliteDialect) BeginTx(ctx context.Context, o *sql.TxOptions) (server.Transaction, error) {
	select {
	case d.writer <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	unlock := sync.OnceFunc(func() { <-d.writer })
	tx, err := d.Generic.BeginTx(ctx, o)
	if err != nil {
		unlock()
		return nil, err
	}
	// A request that panics ends its context, and neither commits nor rolls back.
	stop := context.AfterFunc(ctx, unlock)
	return &lockedTx{Transaction: tx, unlock: func() { stop(); unlock() }}, nil
}

// lockedTx is a transaction that lets the next writer in when it ends.
type lockedTx struct {
	server.Transaction
	unlock func()
}

func (t *lockedTx) Commit() error {
	defer t.unlock()
	return t.Transaction.Commit()
}

func (t *lockedTx) Rollback() error {
	defer t.unlock()
	return t.Transaction.Rollback()
}

// MustCommit commits a compaction. kine's own ends the process when the disk is full. An
// error is enough: the next compaction goes on where the last one came to.
func (t *lockedTx) MustCommit() {
	if err := t.Commit(); err != nil {
		logrus.Errorf("datastore: compaction: %v", err)
	}
}

// MustRollback rolls a compaction back, unless it was committed.
func (t *lockedTx) MustRollback() {
	if err := t.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		logrus.Errorf("datastore: roll a compaction back: %v", err)
	}
}
