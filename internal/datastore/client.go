package datastore

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"google.golang.org/grpc"

	"github.com/k3s-io/kine/pkg/server"
)

// errClosed is what a client gets from a store that was closed.
var errClosed = rpctypes.ErrGRPCStopped

// newClient returns an etcd client that calls kine's backend directly: no connection,
// no encoding. It has the methods that the API server's storage calls.
func newClient(backend server.Backend, calls *calls) *kubernetes.Client {
	bridge := server.New(backend, "", progressInterval, etcdVersion)
	c := clientv3.NewCtxClient(context.Background())
	c.KV = clientv3.NewKVFromKVClient(reader{kine: bridge, calls: calls}, nil)
	c.Lease = leases{kine: bridge}
	c.Watcher = newWatcher(backend, calls)
	k := &kubernetes.Client{Client: c}
	k.Kubernetes = writer{k, backend, calls}
	return k
}

// reader passes reads to kine's etcd server. Writes don't go there: kine would log those
// that fail with the object, which may be a secret.
type reader struct {
	pb.KVClient // nil: the API server only reads with it
	kine        pb.KVServer
	calls       *calls
}

func (c reader) Range(ctx context.Context, r *pb.RangeRequest, _ ...grpc.CallOption) (response *pb.RangeResponse, err error) {
	err = c.calls.do(ctx, func(ctx context.Context) error {
		response, err = c.kine.Range(ctx, r)
		return err
	})
	return response, err
}

// RangeStream answers with everything at once. kine's own stream would hold a database
// connection for as long as the objects are decoded.
func (c reader) RangeStream(ctx context.Context, r *pb.RangeRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[pb.RangeStreamResponse], error) {
	response, err := c.Range(ctx, r)
	if err != nil {
		return nil, err
	}
	return &rangeStream{response: &pb.RangeStreamResponse{RangeResponse: response}}, nil
}

// rangeStream is a stream of one response.
type rangeStream struct {
	grpc.ClientStream // nil: the etcd client only receives
	response          *pb.RangeStreamResponse
}

func (s *rangeStream) Recv() (*pb.RangeStreamResponse, error) {
	response := s.response
	if response == nil {
		return nil, io.EOF
	}
	s.response = nil
	return response, nil
}

// writer has kine write. It leaves reads to the etcd client.
type writer struct {
	kubernetes.Interface
	backend server.Backend
	calls   *calls
}

// OptimisticPut writes a key that was last changed in a revision, 0 for one that isn't
// there, and otherwise returns what is.
func (w writer) OptimisticPut(ctx context.Context, key string, value []byte, revision int64, o kubernetes.PutOptions) (r kubernetes.PutResponse, err error) {
	err = w.calls.do(ctx, func(ctx context.Context) error {
		var current *server.KeyValue
		if revision == 0 {
			r.Revision, err = w.backend.Create(ctx, key, value, int64(o.LeaseID))
			r.Succeeded = err == nil
			if errors.Is(err, server.ErrKeyExists) {
				if err = nil; o.GetOnFailure {
					r.Revision, current, err = w.backend.Get(ctx, key, 0, false)
				}
			}
		} else {
			r.Revision, current, r.Succeeded, err = w.backend.Update(ctx, key, value, revision, int64(o.LeaseID))
		}
		if !r.Succeeded {
			r.KV = keyValue(current)
		}
		return err
	})
	return r, rpctypes.Error(err)
}

// OptimisticDelete deletes a key that was last changed in a revision, and otherwise
// returns what is there.
func (w writer) OptimisticDelete(ctx context.Context, key string, revision int64, _ kubernetes.DeleteOptions) (r kubernetes.DeleteResponse, err error) {
	err = w.calls.do(ctx, func(ctx context.Context) error {
		var current *server.KeyValue
		r.Revision, current, r.Succeeded, err = w.backend.Delete(ctx, key, revision)
		if !r.Succeeded {
			r.KV = keyValue(current)
		}
		return err
	})
	return r, rpctypes.Error(err)
}

// leases grants leases, which is all that the API server asks for. kine deletes a key
// when its lease has run out, and knows no other use of one.
type leases struct {
	clientv3.Lease // nil
	kine           pb.LeaseServer
}

func (l leases) Grant(ctx context.Context, ttl int64) (*clientv3.LeaseGrantResponse, error) {
	r, err := l.kine.LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: ttl})
	if err != nil {
		return nil, err
	}
	return &clientv3.LeaseGrantResponse{ResponseHeader: r.Header, ID: clientv3.LeaseID(r.ID), TTL: r.TTL}, nil
}

// calls are the requests and watches that a store serves.
type calls struct {
	requests, watches context.Context //nolint:containedctx // end with the store, and end the calls' own contexts
	endRequests       context.CancelCauseFunc
	endWatches        context.CancelFunc

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

func newCalls() *calls {
	c := &calls{}
	c.requests, c.endRequests = context.WithCancelCause(context.Background())
	c.watches, c.endWatches = context.WithCancel(context.Background())
	return c
}

// begin counts a call in. Its context ends with ctx, with life, or by leave, which the
// caller must call in the end.
func (c *calls) begin(ctx, life context.Context) (_ context.Context, leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, errClosed
	}
	c.running.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(life, func() { cancel(context.Cause(life)) })
	return ctx, func() {
		stop()
		cancel(nil)
		c.running.Done()
	}, nil
}

// finish lets no more calls begin, ends the watches, and gives requests drainTimeout to
// end before their contexts do.
func (c *calls) finish() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.endWatches()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.running.Wait()
	}()
	select {
	case <-done:
	case <-time.After(drainTimeout):
	}
	c.endRequests(errClosed)
}

// do runs a request. When the request's context has ended, the error says why: the
// database may say only that it was interrupted.
func (c *calls) do(ctx context.Context, request func(context.Context) error) error {
	ctx, leave, err := c.begin(ctx, c.requests)
	if err != nil {
		return err
	}
	defer leave()
	err = request(ctx)
	switch {
	case err == nil || ctx.Err() == nil:
		return err
	case errors.Is(context.Cause(ctx), errClosed):
		return errClosed
	}
	return ctx.Err()
}
