package datastore

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"sync"

	"github.com/k3s-io/kine/pkg/drivers/generic"
	"github.com/k3s-io/kine/pkg/query"
	"github.com/k3s-io/kine/pkg/server"
	"github.com/sirupsen/logrus"
)

// sqliteDialect is kine's SQL with two corrections for SQLite: watches hear of the first
// write at once, and writes that come together are committed together.
type sqliteDialect struct {
	*generic.Generic
	notify func(context.Context)
	work   *sync.WaitGroup // what the store waits for when it closes
	writer chan struct{}   // holds one value while a transaction is open
	queue  writeQueue
}

// PrepareAfter prepares the query of kine's poll loop, and wakes the loop again. The loop
// prepares its query at the first change, and then waits for the next one or for
// sqlitePollInterval, so that watches would hear of the first change late. The context is
// without cancellation, because the loop loses a connection when this is canceled. When the
// store closes, PrepareAfter ends the loop: in the middle of a burst, the loop itself would
// try again without a pause, and never end.
func (d *sqliteDialect) PrepareAfter(ctx context.Context, limit int64) (*query.Stmt, error) {
	if ctx.Err() != nil {
		runtime.Goexit()
	}
	statement, err := d.Generic.PrepareAfter(context.WithoutCancel(ctx), limit)
	if err == nil {
		d.notify(ctx)
	}
	return statement, err
}

// BeginTx begins a compaction, or, as the isolation level says, a single write.
func (d *sqliteDialect) BeginTx(ctx context.Context, o *sql.TxOptions) (server.Transaction, error) {
	if o.Isolation == sql.LevelReadCommitted {
		return singleWrite{dialect: d}, nil
	}
	select {
	case d.writer <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	tx, err := d.Generic.BeginTx(ctx, o)
	if err != nil {
		<-d.writer
		return nil, err
	}
	return compaction{tx, sync.OnceFunc(func() { <-d.writer })}, nil
}

// compaction lets the next writer in when it ends.
type compaction struct {
	server.Transaction
	unlock func()
}

func (c compaction) Commit() error {
	defer c.unlock()
	return c.Transaction.Commit()
}

func (c compaction) Rollback() error {
	defer c.unlock()
	return c.Transaction.Rollback()
}

// MustCommit commits. kine's own ends the process when the disk is full. An error is
// enough: the next compaction goes on where the last one came to.
func (c compaction) MustCommit() {
	if err := c.Commit(); err != nil {
		logrus.Errorf("datastore: compaction: %v", err)
	}
}

// MustRollback rolls back, unless the compaction was committed.
func (c compaction) MustRollback() {
	if err := c.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		logrus.Errorf("datastore: roll a compaction back: %v", err)
	}
}
