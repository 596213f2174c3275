package core

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Wait says how long a caller waits for an operation, and how it follows the progress. The zero Wait waits forever without
// progress.
type Wait struct {
	Timeout  time.Duration // 0: no limit
	Progress func(Event)   // called in order, never concurrently; may be nil

	// Overdue is called at each deadline and returns how much longer to wait; 0 ends the wait. The wait continues during the
	// call, and ctx ends when the answer is no longer needed. Without Overdue, the wait ends at the deadline.
	Overdue func(ctx context.Context, waited time.Duration) (extend time.Duration)

	// Accepted makes the operation return when its change is accepted, without waiting until it is done.
	Accepted bool

	log   string    // the path of the operation's log, which is reported first
	began time.Time // start of the time limit; zero: the start of the wait
}

// FromNow returns w with a time limit that starts now, unless it has started already. It then includes the requests before
// the wait, which are not interrupted, and several waits can share it.
func (w Wait) FromNow() Wait {
	if w.began.IsZero() {
		w.began = time.Now()
	}
	return w
}

// Again returns w with a time limit that has not started.
func (w Wait) Again() Wait {
	w.began = time.Time{}
	return w
}

// Expired is the error of a wait that ended at its deadline. It unwraps to context.DeadlineExceeded.
type Expired struct {
	After time.Duration
	Last  Event // the last step that was reported
}

func (e *Expired) Error() string {
	s := fmt.Sprintf("%v: not done after %s", context.DeadlineExceeded, e.After.Round(time.Millisecond))
	if e.Last.Phase == "" {
		return s + ", and no progress was reported"
	}
	s += ", last seen in phase " + e.Last.Phase
	if e.Last.Message != "" {
		s += ": " + e.Last.Message
	}
	return s
}

func (e *Expired) Unwrap() error { return context.DeadlineExceeded }

// operation is a wait in progress. It keeps the last event for the error at the deadline.
type operation struct {
	wait       Wait
	op, object string
	start      time.Time

	progressMu sync.Mutex // held while Progress is called, which may block
	mu         sync.Mutex
	last       Event
}

// report calls Progress with an event, unless it is the same as the last one.
func (o *operation) report(e Event) {
	o.progressMu.Lock()
	defer o.progressMu.Unlock()
	e.Op, e.Object = o.op, o.object
	o.mu.Lock()
	repeated := e == o.last
	o.last = e
	o.mu.Unlock()
	if repeated || o.wait.Progress == nil {
		return
	}
	e.Elapsed = time.Since(o.start)
	o.wait.Progress(e)
}

// run calls fn and waits for it as w says. The end of the wait ends fn's context, but not the work that fn waits for.
func (w Wait) run(ctx context.Context, op, object string, fn func(context.Context, *operation) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	o := &operation{wait: w, op: op, object: object, start: w.began}
	if o.start.IsZero() {
		o.start = time.Now()
	}
	if w.log != "" && w.Progress != nil {
		w.Progress(Event{Op: op, Object: object, Phase: PhaseLog, Message: w.log})
	}
	result := make(chan error, 1)
	go func() { result <- fn(ctx, o) }()

	var expired <-chan time.Time
	if w.Timeout > 0 {
		expired = time.After(w.Timeout - time.Since(o.start))
	}
	var answer chan time.Duration // not nil while Overdue is being called
	giveUp := func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		cancel(&Expired{After: time.Since(o.start), Last: o.last})
	}
	for {
		select {
		case err := <-result:
			if cause := context.Cause(ctx); errors.Is(err, context.Canceled) && cause != nil && !errors.Is(err, cause) {
				err = cause
			}
			return Failed(op, object, err)
		case <-expired:
			expired = nil
			if w.Overdue == nil {
				giveUp()
				continue
			}
			answer = make(chan time.Duration, 1)
			go func() { answer <- w.Overdue(ctx, time.Since(o.start)) }()
		case extend := <-answer:
			answer = nil
			if extend <= 0 {
				giveUp()
				continue
			}
			expired = time.After(extend)
		}
	}
}
