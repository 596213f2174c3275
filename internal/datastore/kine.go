package datastore

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"github.com/k3s-io/kine/pkg/drivers"
	"github.com/k3s-io/kine/pkg/server"
	"github.com/sirupsen/logrus"
)

const (
	// etcdVersion is the etcd release whose API kine speaks.
	etcdVersion = "3.6.0"
	// progressInterval is how often a watch without events learns the revision.
	progressInterval = time.Minute
	// Close gives requests drainTimeout to end, then the database closeTimeout to close, of
	// which its connections get connectionCloseTimeout.
	drainTimeout           = 10 * time.Second
	closeTimeout           = 20 * time.Second
	connectionCloseTimeout = time.Second
)

// inProcess is a kine backend in this process.
type inProcess struct {
	backend server.Backend
	cancel  context.CancelFunc // ends the backend and closes its connections
	work    *sync.WaitGroup    // what the backend runs
	pool    *sql.DB            // may be nil; closed when it has no connection left
}

// tuning returns kine's settings. Compaction keeps the last thousand revisions, so
// that a watch that was away for a moment can go on, and runs often enough that
// history never piles up. poll is how soon other processes' writes are seen;
// our own wake the watches at once.
func tuning(poll time.Duration) *drivers.Config {
	return &drivers.Config{
		CompactInterval:  20 * time.Second,
		CompactTimeout:   5 * time.Second,
		CompactMinRetain: 1000,
		CompactBatchSize: 1000,
		PollBatchSize:    500,
		PollInterval:     poll,
	}
}

func (p inProcess) store() *Store {
	// kine logs every step on the standard logger.
	logrus.SetLevel(logrus.WarnLevel)
	calls := newCalls()
	return &Store{
		Client: newClient(p.backend, calls),
		close: func() error {
			calls.finish()
			p.work.Go(calls.running.Wait)
			return p.end()
		},
	}
}

func (p inProcess) end() error {
	p.cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.work.Wait()
		p.drain()
	}()
	select {
	case <-done:
		return nil
	case <-time.After(closeTimeout):
		return errors.New("datastore: the database did not close in time")
	}
}

// drain waits until canceled queries have closed their connections, so that the file is
// free for the next process. Closing the pool doesn't wait for that.
func (p inProcess) drain() {
	for end := time.Now().Add(connectionCloseTimeout); p.pool != nil && p.pool.Stats().OpenConnections > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}
