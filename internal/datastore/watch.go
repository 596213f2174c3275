package datastore

import (
	"context"
	"sync"
	"time"

	"github.com/k3s-io/kine/pkg/server"
	"github.com/sirupsen/logrus"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// watchBufferLimit is how many events may wait for a busy client when more come. The
// watch of a client that is further behind ends; API clients then begin another.
const watchBufferLimit = 10_000

// watcher makes watches of kine's backend.
type watcher struct {
	backend server.Backend
	calls   *calls

	mu      sync.Mutex
	watches map[*watch]struct{}
}

var _ clientv3.Watcher = &watcher{}

func newWatcher(backend server.Backend, calls *calls) *watcher {
	return &watcher{backend: backend, calls: calls, watches: map[*watch]struct{}{}}
}

// Watch tells of the changes of a key or a range, from a revision on. The channel is
// closed when ctx ends, when the store closes, and after an error.
func (w *watcher) Watch(ctx context.Context, key string, options ...clientv3.OpOption) clientv3.WatchChan {
	op := clientv3.OpGet(key, options...)
	v := &watch{
		backend:   w.backend,
		key:       key,
		end:       string(op.RangeBytes()),
		from:      op.Rev(),
		responses: make(chan clientv3.WatchResponse),
		asked:     make(chan struct{}, 1),
	}
	ctx, leave, err := w.calls.begin(ctx, w.calls.watches)
	if err != nil {
		close(v.responses)
		return v.responses
	}
	w.add(v)
	changes := w.backend.Watch(ctx, v.from)
	go func() {
		defer leave()
		defer w.remove(v)
		defer close(v.responses)
		if op.IsCreatedNotify() && !v.send(ctx, clientv3.WatchResponse{Header: header(changes.CurrentRevision), Created: true}) {
			return
		}
		if op.IsProgressNotify() {
			tick := time.NewTicker(progressInterval)
			defer tick.Stop()
			v.progress = tick.C
		}
		v.run(ctx, changes)
	}()
	return v.responses
}

func (w *watcher) add(v *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watches[v] = struct{}{}
}

func (w *watcher) remove(v *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.watches, v)
}

// RequestProgress has each watch tell its client the revision, if it has told everything up to that.
func (w *watcher) RequestProgress(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for v := range w.watches {
		v.askProgress()
	}
	return nil
}

// Close does nothing: the watches end when their contexts or the store end.
func (w *watcher) Close() error { return nil }

// watch is one watch of a key or a range.
type watch struct {
	backend   server.Backend
	key, end  string
	from      int64
	responses chan clientv3.WatchResponse
	progress  <-chan time.Time // asks for the revision at intervals; may be nil
	asked     chan struct{}    // asks for the revision once
}

// run sends the changes until they or ctx end.
func (w *watch) run(ctx context.Context, changes server.WatchResult) {
	if changes.CompactRevision != 0 {
		w.send(ctx, clientv3.WatchResponse{Header: header(changes.CurrentRevision), Canceled: true, CompactRevision: changes.CompactRevision})
		return
	}
	var seen int64                           // all changes up to this revision are known
	var next clientv3.WatchResponse          // for when the client is ready
	var client chan<- clientv3.WatchResponse // nil while next is empty
	for {
		select {
		case batch, open := <-changes.Eventc:
			if !open {
				w.finish(ctx, next, changes.Errorc)
				return
			}
			if len(next.Events) > watchBufferLimit {
				logrus.Warnf("datastore: a client that watches %s is %d events behind; the watch ends", w.key, len(next.Events))
				return
			}
			seen = max(seen, batch.CurrentRev)
			next.Events = w.appendEvents(next.Events, batch)
			if len(next.Events) > 0 {
				next.Header, client = header(seen), w.responses
			}
		case client <- next:
			next, client = clientv3.WatchResponse{}, nil
		case <-w.progress:
			w.askProgress()
		case <-w.asked:
			// kine's current revision stays behind after writes that were committed together.
			if now, err := w.backend.CurrentRevision(ctx); err == nil && now <= seen {
				next.Header, client = header(seen), w.responses
			}
		case <-ctx.Done():
			return
		}
	}
}

// askProgress has the watch tell its client the revision, if it has told everything before.
func (w *watch) askProgress() {
	select {
	case w.asked <- struct{}{}:
	default: // was asked already
	}
}

func (w *watch) appendEvents(events []*clientv3.Event, batch server.EventBatch) []*clientv3.Event {
	for _, e := range batch.Events {
		if e.InRange(w.key, w.end) && e.KV.ModRevision >= w.from {
			events = append(events, event(e))
		}
	}
	return events
}

// finish sends what is left, then the error that ended the changes, if there was one.
func (w *watch) finish(ctx context.Context, last clientv3.WatchResponse, failed <-chan error) {
	if len(last.Events) > 0 && !w.send(ctx, last) {
		return
	}
	select {
	case err := <-failed:
		logrus.Warnf("datastore: a watch of %s ends: %v", w.key, err)
		w.send(ctx, clientv3.WatchResponse{Header: header(0), Canceled: true, CancelReason: rpctypes.ErrorDesc(err)})
	default:
	}
}

// send waits until the client takes r. It returns false when ctx ended first.
func (w *watch) send(ctx context.Context, r clientv3.WatchResponse) bool {
	select {
	case w.responses <- r:
		return true
	case <-ctx.Done():
		return false
	}
}

func header(revision int64) *pb.ResponseHeader { return &pb.ResponseHeader{Revision: revision} }

func event(e *server.Event) *clientv3.Event {
	told := &clientv3.Event{Type: clientv3.EventTypePut, Kv: keyValue(e.KV)}
	if e.Delete {
		told.Type = clientv3.EventTypeDelete
	}
	if !e.Create {
		told.PrevKv = keyValue(e.PrevKV)
	}
	return told
}

func keyValue(kv *server.KeyValue) *mvccpb.KeyValue {
	if kv == nil {
		return nil
	}
	return &mvccpb.KeyValue{
		Key: []byte(kv.Key), Value: kv.Value, Version: kv.Version, Lease: kv.Lease,
		CreateRevision: kv.CreateRevision, ModRevision: kv.ModRevision,
	}
}
