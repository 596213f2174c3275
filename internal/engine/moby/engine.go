// Package moby is docker's engine as the service sees it: a mirror of its containers, images, volumes and networks in
// memory, which stays right whatever is lost on the way, and the actions on them. The service runs one Engine beside the
// API server, which serves the Engine's resources.
package moby

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/forward"
)

// Socket is where the engine listens in the guest.
const Socket = "/run/docker.sock"

// Options of an Engine.
type Options struct {
	Link *engine.Link
	Log  *slog.Logger
	// Changed is called when State has changed.
	Changed func()
	// Published is called with the ports that running containers publish, when they have changed.
	Published func([]forward.Binding)
}

// Engine follows the docker engine that the Link names.
type Engine struct {
	Options
	timing
	resources resources
	mirror    *mirror
	looks     looks

	mu      sync.Mutex
	state   engine.State
	current *session // that is connected; nil without one
	reason  string   // why there is none
}

// New returns an Engine. Its resources are empty until Run is called.
func New(o Options) *Engine {
	if o.Changed == nil {
		o.Changed = func() {}
	}
	if o.Published == nil {
		o.Published = func([]forward.Binding) {}
	}
	e := &Engine{Options: o, timing: usual(), resources: newResources(), reason: "The service is starting."}
	e.mirror = newMirror(e.resources)
	e.mirror.clear(e.reason)
	return e
}

// State returns what is known of the engine.
func (e *Engine) State() engine.State {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state
}

// Run follows the engine until ctx ends.
func (e *Engine) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		target, changed := e.Link.Get()
		if reason := absence(target); reason != "" {
			e.leave(reason, engine.State{})
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		e.leave("The engine is starting.", engine.State{})
		e.follow(ctx, changed)
	}
	// The ports stay published: the service may be restarting.
	e.away("The service is stopping.")
	e.mirror.clear("The service is stopping.")
	return nil
}

// absence returns why there is no docker engine to follow, and nothing if there is one.
func absence(t engine.Target) string {
	switch {
	case t.Phase != engine.Running && t.Reason != "":
		return t.Reason
	case t.Phase != engine.Running:
		return "The engine is stopped."
	case t.Engine != engine.Moby:
		return fmt.Sprintf("The App's engine is %s; this list has what docker has.", t.Engine)
	}
	return ""
}

// timing is how long an Engine waits; tests have less patience.
type timing struct {
	grace      time.Duration // how long the view stays as it is while a lost engine is asked again: a restart of dockerd
	firstPause time.Duration // between two attempts to connect; doubled up to maxPause
	maxPause   time.Duration
	short      time.Duration // a session that ended sooner is followed by a pause, too
	connect    time.Duration // bounds an attempt: dial, clock, stream, lists
	resync     time.Duration // the longest time for which an event that the engine did not send matters
	paused     time.Duration // after which a container is read once more of which the engine says that it pauses: it says so before
	list       time.Duration // joins events that make one list: a pull or a build has many
	burst      time.Duration // after many events, for which the engine drops some, until all containers are listed
	read       time.Duration // bounds the wait for one container, whose lock somebody may hold for long
	firstRetry time.Duration // after a failed read; doubled up to maxRetry
	maxRetry   time.Duration
}

func usual() timing {
	return timing{
		grace: 10 * time.Second, firstPause: 200 * time.Millisecond, maxPause: 3 * time.Second, short: 2 * time.Second,
		connect: time.Minute, resync: time.Minute, paused: 200 * time.Millisecond, list: 200 * time.Millisecond,
		burst: 400 * time.Millisecond, read: 5 * time.Second, firstRetry: time.Second, maxRetry: 30 * time.Second,
	}
}

// follow connects to the engine, again and again, until the target changes or ctx ends.
func (e *Engine) follow(ctx context.Context, changed <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}()
	pause, attempts := time.Duration(0), 0
	for {
		target, _ := e.Link.Get() // the way to the guest may be a new one
		limit := e.connect
		if e.mirror.filled() {
			limit = e.grace
		}
		begun := time.Now()
		connected, err := e.session(ctx, target.Dial, limit)
		if ctx.Err() != nil {
			return
		}
		switch {
		case connected:
			e.Log.Info("lost the engine", "err", err)
			e.away("The connection to the engine is lost. RDD is connecting again.")
			e.mirror.lose(time.Now())
			attempts = 0
			if time.Since(begun) > e.short {
				pause = 0
				continue
			}
		default:
			attempts++
			e.Log.Debug("the engine does not answer", "attempt", attempts, "err", err)
			e.fail(attempts, err)
		}
		pause = min(max(2*pause, e.firstPause), e.maxPause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// fail says that the engine does not answer, and empties the view if that has lasted for long.
func (e *Engine) fail(attempts int, err error) {
	failed := engine.State{Problem: "The engine does not answer: " + err.Error() + ".", Attempts: attempts}
	if e.mirror.expired(time.Now(), e.grace) {
		e.leave(failed.Problem, failed)
		return
	}
	e.setState(failed)
}

// leave empties the view: there is no engine.
func (e *Engine) leave(reason string, s engine.State) {
	e.away(reason)
	if e.mirror.clear(reason) {
		e.Published(nil)
	}
	e.setState(s)
}

// away says why no action can be done now.
func (e *Engine) away(reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.current, e.reason = nil, reason
}

func (e *Engine) setState(s engine.State) {
	e.mu.Lock()
	same := e.state == s
	e.state = s
	e.mu.Unlock()
	if !same {
		e.Changed()
	}
}
