package core

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Wait says how long a caller waits for an operation and what it hears meanwhile. The zero Wait
// waits forever and hears nothing.
type Wait struct {
	Timeout  time.Duration // 0: no limit
	Progress func(Event)   // called in order, never concurrently; may be nil

	// Overdue is asked once per expiry how much longer to wait; 0 ends the wait. The wait goes on
	// while the question is open, and ctx ends when the question no longer matters. A nil Overdue
	// ends the wait at the deadline.
	Overdue func(ctx context.Context, waited time.Duration) (extend time.Duration)

	// Accepted makes the operation return once the change is accepted, without waiting for it.
	Accepted bool

	log   string    // where the log of the operation is; told first
	began time.Time // when its time began to run; zero: when the waiting begins
}

// fromNow returns w with its time running from now on: the request that comes first takes part of it,
// but is never cut short.
func (w Wait) fromNow() Wait {
	w.began = time.Now()
	return w
}

// Spent returns w with what is left of its time after some of it went by. What has none left still
// has a moment, so that it ends in the ordinary way.
func (w Wait) Spent(d time.Duration) Wait {
	if w.Timeout > 0 {
		w.Timeout = max(w.Timeout-d, time.Nanosecond)
	}
	return w
}

// Expired is the end of a wait at its deadline. It unwraps to context.DeadlineExceeded.
type Expired struct {
	After time.Duration
	Last  Event // the last step heard of
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

// operation is one wait under way. It remembers the last event, for the error at the deadline.
type operation struct {
	wait       Wait
	op, object string
	start      time.Time

	progressMu sync.Mutex // held while Progress is called, which may take its time
	mu         sync.Mutex
	last       Event
}

// report passes an event on, unless it repeats the last one.
func (o *operation) report(e Event) {
	o.progressMu.Lock()
	defer o.progressMu.Unlock()
	e.Op, e.Object = o.op, o.object
	if !o.changed(e) {
		return
	}
	e.Elapsed = time.Since(o.start)
	if o.wait.Progress != nil {
		o.wait.Progress(e)
	}
}

// changed notes the event, and says whether it is another than the last one.
func (o *operation) changed(e Event) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if e == o.last {
		return false
	}
	o.last = e
	return true
}

// run calls fn and bounds the wait for it as w says. Ending the wait ends fn's context, never the
// work that fn waits for.
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
	var answer chan time.Duration // non-nil while the question is open
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
