package mirror

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/forward"
	"rancherdesktop.io/rdd/internal/view"
)

// Options of the engine's side of a Follower.
type Options struct {
	Link *engine.Link
	Log  *slog.Logger
	// Changed is called when State has changed.
	Changed func()
	// Published is called with the ports that running containers publish, when they have changed.
	Published func([]forward.Binding)
}

// Follower follows the engine that the Link names, as long as that is the engine of this name. C is what a connection to it
// is, and R what that reads in the background.
type Follower[C Connection[R], R any] struct {
	Options
	Timing
	Name   string // of the engine
	Mirror *Mirror
	// Open makes a connection, which has not sent anything yet.
	Open func(s *Session[R]) (C, error)
	// Plain makes an error one that can be part of a sentence. Without an error, the connection has ended.
	Plain func(err error) error
	// Refusal makes an error of the engine one that reaches the client with the engine's own sentence; nil for none.
	Refusal func(err error) error

	mu      sync.Mutex
	state   engine.State
	current C      // only without a reason
	reason  string // why there is no connection
	said    string // by the last attempt that has failed
	found   engine.Finding
}

// Prepare makes a Follower ready for use. It doesn't touch the view: another engine's may be there.
func (f *Follower[C, R]) Prepare(o Options) {
	if o.Changed == nil {
		o.Changed = func() {}
	}
	if o.Published == nil {
		o.Published = func([]forward.Binding) {}
	}
	f.Options, f.Timing, f.reason = o, Usual(), "The service is starting."
}

// State returns what is known of the engine.
func (f *Follower[C, R]) State() engine.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// Current returns the connection to the engine. Its error is for clients.
func (f *Follower[C, R]) Current() (C, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reason != "" {
		return f.current, view.Status(http.StatusServiceUnavailable, f.reason)
	}
	return f.current, nil
}

// connected says that all has been read, and shows it.
func (f *Follower[C, R]) connected(c C) {
	f.Mirror.Found()
	f.mu.Lock()
	f.current, f.reason = c, ""
	f.mu.Unlock()
	f.report(c)
}

// report tells the Follower's owner what it wants to know.
func (f *Follower[C, R]) report(c C) {
	version, apiVersion := c.Versions()
	if bindings, changed := f.Mirror.Publish(); changed {
		f.Published(bindings)
	}
	f.forget()
	f.setState(engine.State{Answers: true, Version: version, APIVersion: apiVersion, Containers: f.Mirror.Running()})
}

// Run follows the engine until ctx ends.
func (f *Follower[C, R]) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		target, changed := f.Link.Get()
		if reason := f.absence(target); reason != "" {
			f.leave(reason, engine.State{})
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		f.leave("The engine is starting.", engine.State{})
		f.follow(ctx, changed)
	}
	// The ports stay published: the service may be restarting. Nobody is told: it may have ended already.
	f.away("The service is stopping.")
	f.Mirror.Clear("The service is stopping.")
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state = engine.State{}
	return nil
}

// absence returns why there is no engine to follow, and nothing if there is one.
func (f *Follower[C, R]) absence(t engine.Target) string {
	switch {
	case t.Phase != engine.Running && t.Reason != "":
		return t.Reason
	case t.Phase != engine.Running:
		return "The engine is stopped."
	case t.Engine != f.Name:
		return fmt.Sprintf("The App's engine is %s; this list has what %s has.", t.Engine, f.Name)
	}
	return ""
}

// follow connects to the engine, again and again, until the target changes or ctx ends.
func (f *Follower[C, R]) follow(ctx context.Context, changed <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}()
	f.forget()
	asking := make(chan struct{})
	go func() {
		defer close(asking)
		f.inquire(ctx)
	}()
	defer func() {
		cancel()
		<-asking
	}()
	pause, attempts := time.Duration(0), 0
	for {
		target, _ := f.Link.Get() // the way to the guest may be a new one
		limit := f.Connect
		if f.Mirror.Filled() {
			limit = f.Grace
		}
		begun := time.Now()
		connected, err := f.session(ctx, target.Dial, limit)
		if ctx.Err() != nil {
			return
		}
		switch {
		case connected:
			f.Log.Info("lost the engine", "err", err)
			f.away("The connection to the engine is lost. RDD is connecting again.")
			f.Mirror.Lose(time.Now())
			attempts = 0
			if time.Since(begun) > f.Short {
				pause = 0
				continue
			}
		default:
			attempts++
			f.Log.Debug("the engine does not answer", "attempt", attempts, "err", err)
			f.fail(attempts, err)
		}
		pause = min(max(2*pause, f.FirstPause), f.MaxPause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// fail says that the engine does not answer, and empties the view if that has lasted for long.
func (f *Follower[C, R]) fail(attempts int, err error) {
	f.mu.Lock()
	f.said = "The engine does not answer: " + err.Error() + "."
	failed := stateOf(f.found, f.said, attempts)
	f.mu.Unlock()
	if f.Mirror.Expired(time.Now(), f.Grace) {
		f.leave(failed.Problem, failed)
		return
	}
	f.setState(failed)
}

// leave empties the view: there is no engine.
func (f *Follower[C, R]) leave(reason string, s engine.State) {
	f.away(reason)
	if f.Mirror.Clear(reason) {
		f.Published(nil)
	}
	f.setState(s)
}

// away says why no action can be done now.
func (f *Follower[C, R]) away(reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var none C
	f.current, f.reason = none, reason
}

func (f *Follower[C, R]) setState(s engine.State) {
	f.mu.Lock()
	same := f.state == s
	f.state = s
	f.mu.Unlock()
	if !same {
		f.Changed()
	}
}
