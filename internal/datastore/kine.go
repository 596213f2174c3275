package datastore

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/k3s-io/kine/pkg/drivers"
	"github.com/k3s-io/kine/pkg/server"
	"github.com/sirupsen/logrus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/test/bufconn"
)

const (
	// etcdVersion is the etcd release whose API kine speaks.
	etcdVersion = "3.6.0"
	// progressInterval is how often a watch without events learns the revision.
	progressInterval = time.Minute
	// drainLimit and closeLimit bound the two halves of Close, connectionsLimit the last of it.
	drainLimit       = 2 * time.Second
	closeLimit       = 3 * time.Second
	connectionsLimit = time.Second
)

// inProcess serves a kine backend to etcd clients in this process. Nothing
// listens: connections are pairs of buffers.
type inProcess struct {
	backend server.Backend
	cancel  context.CancelFunc // ends the backend and closes its connections
	work    *sync.WaitGroup    // what the backend runs
	pool    *sql.DB            // nil, or waited for until it has no connection left
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

func (p inProcess) serve() *Store {
	// kine tells its life on the standard logger, line by line; only trouble matters.
	logrus.SetLevel(logrus.WarnLevel)
	pipe := bufconn.Listen(8 << 10)
	rpc := grpc.NewServer(
		grpc.MaxRecvMsgSize(8<<20),
		grpc.MaxSendMsgSize(1<<31-1),
		grpc.ReadBufferSize(4<<10),
		grpc.WriteBufferSize(4<<10),
		// The API server's client pings every 30 s. gRPC's default is to throw out who pings
		// more than every 5 minutes, and all watches with it.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Nanosecond, PermitWithoutStream: true}),
	)
	server.New(p.backend, "unix", progressInterval, etcdVersion).Register(rpc)
	go func() { _ = rpc.Serve(pipe) }() // ends with Stop; its error says only that
	return &Store{
		Servers:  []string{"http://datastore.invalid:2379"},
		Dial:     func(ctx context.Context, _, _ string) (net.Conn, error) { return pipe.DialContext(ctx) },
		Compacts: true,
		close:    func() error { return p.stop(rpc) },
	}
}

// stop lets requests finish, then ends the backend, which closes the database.
func (p inProcess) stop(rpc *grpc.Server) error {
	hurry := time.AfterFunc(drainLimit, rpc.Stop)
	rpc.GracefulStop()
	hurry.Stop()
	return p.end()
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
	case <-time.After(closeLimit):
		return errors.New("datastore: the database did not close in time")
	}
}

// drain waits until queries that were canceled have let go of their connections, which closing the
// pool doesn't: whoever opens the file next shall find nobody there.
func (p inProcess) drain() {
	for end := time.Now().Add(connectionsLimit); p.pool != nil && p.pool.Stats().OpenConnections > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}
