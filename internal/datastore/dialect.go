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

// sqliteDialect is kine's SQL with two things set right for SQLite.
type sqliteDialect struct {
	*generic.Generic
	notify func(context.Context)
	turn   chan struct{} // holds one while a transaction is open
}

// PrepareAfter is called by the loop behind the watches. That loop takes the first
// notice of a change, finds its query not prepared, prepares it, and waits for the next
// notice or for pollSQLite to pass. A read gives that next notice. When the end of the
// store cancels the preparation, that loop forgets a connection without closing it.
func (d *sqliteDialect) PrepareAfter(ctx context.Context, limit int64) (*query.Stmt, error) {
	statement, err := d.Generic.PrepareAfter(context.WithoutCancel(ctx), limit)
	if err == nil {
		d.notify(ctx)
	}
	return statement, err
}

// BeginTx lets writers queue here, in order. SQLite admits one at a time and has the
// others sleep and try again, each on a connection that a reader could use.
func (d *sqliteDialect) BeginTx(ctx context.Context, o *sql.TxOptions) (server.Transaction, error) {
	select {
	case d.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	leave := sync.OnceFunc(func() { <-d.turn })
	tx, err := d.Generic.BeginTx(ctx, o)
	if err != nil {
		leave()
		return nil, err
	}
	// A request that panics ends its context, and neither commits nor rolls back.
	stop := context.AfterFunc(ctx, leave)
	return &turn{Transaction: tx, leave: func() { stop(); leave() }}, nil
}

// turn is a transaction that lets the next one begin when it ends.
type turn struct {
	server.Transaction
	leave func()
}

func (t *turn) Commit() error {
	defer t.leave()
	return t.Transaction.Commit()
}

func (t *turn) Rollback() error {
	defer t.leave()
	return t.Transaction.Rollback()
}

// MustCommit ends a compaction. kine would end the process when the disk is full; the
// next compaction finds out by itself how far the last one came.
func (t *turn) MustCommit() {
	if err := t.Commit(); err != nil {
		logrus.Errorf("datastore: compaction: %v", err)
	}
}

// MustRollback is deferred beside MustCommit, so the transaction has usually ended.
func (t *turn) MustRollback() {
	if err := t.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		logrus.Errorf("datastore: roll a compaction back: %v", err)
	}
}
