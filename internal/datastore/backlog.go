package datastore

import (
	"context"

	"github.com/k3s-io/kine/pkg/logstructured"
	"github.com/k3s-io/kine/pkg/logstructured/sqllog"
	"github.com/k3s-io/kine/pkg/server"
)

// backlog is kine's log with one correction. A watch that begins in the past is first told what it
// missed. kine leaves the previous value out of what it tells when that value is older than the last
// compaction, and the API server then breaks the watch off; each update of an object that had not
// changed for a thousand revisions did that. etcd leaves it out only when the change itself is as old
// (mvcc/watchable_store), and the value is there: the change's own row holds it.
type backlog struct {
	logstructured.Log
	dialect server.Dialect
}

func (l backlog) After(ctx context.Context, key, end string, revision, limit int64) (server.EventBatch, error) {
	rows, err := l.dialect.After(ctx, key, end, revision, limit)
	if err != nil {
		return server.EventBatch{}, err
	}
	batch, compacted, err := sqllog.RowsToEvents(rows, true, true)
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

// Watch ends at once when the store is being closed. kine then returns a nil channel, on
// which its callers would wait forever.
func (l backlog) Watch(ctx context.Context) <-chan server.EventBatch {
	batches := l.Log.Watch(ctx)
	if batches == nil {
		ended := make(chan server.EventBatch)
		close(ended)
		return ended
	}
	return batches
}
