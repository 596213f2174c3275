package mirror

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"rancherdesktop.io/rdd/internal/engine"
)

// refreshTimeout bounds the wait for the mirror after an action. The action is done then anyway.
const refreshTimeout = 5 * time.Second

// Connection is one connection to an engine. R is what it reads in the background. One goroutine calls the methods, but for
// Await.
type Connection[R any] interface {
	// Start opens the event stream, and then reads everything. The channel has the stream's end, after which the queue is closed.
	Start(ctx context.Context) (lost <-chan error, err error)
	// ReadDue reads what a batch names. It removes keys from the batch that are to be told later, and adds those that are to be told
	// now. Its error means that the engine does not answer any more.
	ReadDue(ctx context.Context, b *Batch[R]) error
	// Versions returns the engine's version, and that of its API.
	Versions() (version, apiVersion string)
	// Await reads something again, and returns when that is done.
	Await(ctx context.Context, k Key)
	Close()
}

// Session is what all Connections embed.
type Session[R any] struct {
	Timing
	Log    *slog.Logger
	Mirror *Mirror
	Queue  Queue[R]
	Dial   engine.Dial
	Target context.Context //nolint:containedctx // ends with the engine that is followed

	plain    func(err error) error // as the Follower's
	failures map[Key]int           // in a row
}

// Await reads something again, and returns when that is done, or takes too long.
func (s *Session[R]) Await(ctx context.Context, k Key) {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	s.Queue.Await(ctx, k)
}

// Retry reads k again later, because it could not be read.
func (s *Session[R]) Retry(ctx context.Context, k Key, err error) {
	if ctx.Err() != nil {
		return
	}
	delay := min(s.FirstRetry<<min(s.failures[k], 10), s.MaxRetry)
	s.failures[k]++
	s.Log.Warn("can't read from the engine; trying again", "what", k.Kind.String(), "id", k.ID, "in", delay, "err", err)
	s.Queue.Add(k, delay)
}

// Succeeded says that k was read.
func (s *Session[R]) Succeeded(k Key) { delete(s.failures, k) }

// session connects to the engine and mirrors it until the connection is lost or ctx ends. limit bounds the time until all
// has been read. connected says whether that was done.
func (f *Follower[C, R]) session(ctx context.Context, dial engine.Dial, limit time.Duration) (connected bool, err error) {
	if dial == nil {
		return false, errors.New("there is no way to reach it yet")
	}
	s := &Session[R]{Timing: f.Timing, Log: f.Log, Mirror: f.Mirror, Dial: dial, Target: ctx, plain: f.Plain, failures: map[Key]int{}}
	defer s.Queue.Close()
	c, err := f.Open(s)
	if err != nil {
		return false, err
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	timeout := time.AfterFunc(limit, cancel)
	lost, err := c.Start(ctx)
	if !timeout.Stop() {
		err = fmt.Errorf("it has not answered within %s", limit)
	}
	if err != nil {
		return false, f.Plain(err)
	}
	f.connected(c)
	for {
		b, ok := s.Queue.Take(ctx)
		if !ok {
			break
		}
		err := c.ReadDue(ctx, b)
		f.Mirror.Settle()
		f.report(c)
		for _, told := range b.Keys {
			CloseAll(told)
		}
		if err != nil {
			return true, f.Plain(err)
		}
	}
	cancel()
	return true, f.Plain(<-lost)
}
