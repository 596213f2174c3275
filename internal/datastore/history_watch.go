package datastore

import (
	"context"

	"github.com/k3s-io/kine/pkg/logstructured"
	"github.com/k3s-io/kine/pkg/logstructured/sqllog"
	"github.com/k3s-io/kine/pkg/server"
)

// historyWatch is kine's log with complete events for watches that begin in the past. kine leaves the
// previous value out when it is older than the last compaction, and the API server then ends the watch.
// That happened with each update of an object that had not changed for a thousand revisions. etcd
// leaves the value out only when the change itself is that old (mvcc/watchable_store). The value is
// there: the row of the change holds it.
type historyWatch struct {
	logstructured.Log
	dialect server.Dialect
}

func (l historyWatch) After(ctx context.Context, key, end string, revision, limit int64) (server.EventBatch, error) {
	rows, err := l.dialect.After(ctx, key, end, revision, limit)
	if err != nil {
		return server.EventBatch{}, err
	}
	batch, compacted, err := sqllog.RowsToEvents(rows, true, true)
	if err == nil {
		err = rows.Err() // without it, rows that were cut short would look complete
	}
	switch {
	case err != nil:
		return batch, err
	case batch.CurrentRev == 0:
		return batch, server.ErrGRPCUnhealthy
	case revision > 0 && revision < compacted:
		return batch, server.ErrCompacted
	case revision > batch.CurrentRev:
		return batch, server.ErrFutureRev
	}
	return batch, nil
}

// Watch returns a closed channel while the store closes. kine returns a nil one, and its
// callers would wait forever.
func (l historyWatch) Watch(ctx context.Context) <-chan server.EventBatch {
	batches := l.Log.Watch(ctx)
	if batches == nil {
		ended := make(chan server.EventBatch)
		close(ended)
		return ended
	}
	return batches
}
