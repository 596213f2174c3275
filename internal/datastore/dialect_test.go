package datastore

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/k3s-io/kine/pkg/logstructured/sqllog"
	"github.com/k3s-io/kine/pkg/query"
	"github.com/k3s-io/kine/pkg/server"

	"rancherdesktop.io/rdd/internal/testenv"
)

// In a burst, kine's poll loop doesn't look whether the store closes. It tried again without a pause, and filled the log.
func TestStoreThatClosesInABurstStopsToPoll(t *testing.T) {
	life, work, connector := database(t, "")
	dialect, err := newDialect(life, work, connector)
	if err != nil {
		t.Fatal(err)
	}
	life, end := context.WithCancel(life)
	config := tuning(time.Hour)
	config.PollBatchSize = 1 // so that one change is a burst
	log := sqllog.New(&endingDialect{sqliteDialect: dialect, end: end}, work, config)
	dialect.notify = func(ctx context.Context) { _, _ = log.List(ctx, sqliteAnyKey, "", 1, 0, false, true) }
	if err := log.Start(life); err != nil {
		t.Fatal(err)
	}
	batches := log.Watch(t.Context())
	for _, key := range []string{"/registry/a", "/registry/b", "/registry/c"} {
		if _, err := log.Append(t.Context(), &server.Event{Create: true, KV: &server.KeyValue{Key: key}}); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Eventually(t, "the loop ends", func() bool {
		select {
		case _, open := <-batches:
			return !open
		default:
			return false
		}
	})
}

// endingDialect ends the store when the poll loop queries again after it has read a change.
type endingDialect struct {
	*sqliteDialect
	end  context.CancelFunc
	seen int64
}

func (d *endingDialect) QueryAfter(ctx context.Context, statement *query.Stmt, revision int64) (*sql.Rows, error) {
	if d.seen == 0 {
		d.seen = revision
	}
	if revision > d.seen {
		d.end()
		return nil, context.Canceled
	}
	return d.sqliteDialect.QueryAfter(ctx, statement, revision)
}
