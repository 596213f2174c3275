package page

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"
)

// Event is pushed to the page: the whole state, what has changed in the engine, or data of a stream.
type Event struct {
	Name string // state, engine or stream
	Data json.RawMessage
}

const (
	stateInterval     = 50 * time.Millisecond // the least time between two states for one subscriber
	maxPartSize       = 16 << 10              // bytes in one part of a stream
	maxQueuedParts    = 16                    // parts of streams that wait for a subscriber
	subscriberTimeout = 10 * time.Second      // a subscriber that reads nothing for so long is disconnected
	unwatchedTimeout  = time.Minute           // streams end when there was no subscriber for so long
)

// Events yields the state first, at once, and then after changes, at most once in 50 ms, and the data of open streams in
// order, until ctx or the loop ends. The engine's objects are sent once, and then what changes, also at most once in 50 ms.
// A slow loop gets only the newest state and one event with all changes of the engine, and makes streams wait.
func (a *API) Events(ctx context.Context) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		s := a.events.subscribe()
		defer a.leave(s)
		<-s.changed // subscribe has left it there
		state, engine := pace{time.Now()}, pace{}
		if !send(yield, "state", a.State()) {
			return
		}
		var sent sentEngine
		for {
			changed, changedAgain := state.limit(s.changed)
			engineChanged, engineChangedAgain := engine.limit(s.engine)
			select {
			case <-ctx.Done():
				return
			case <-a.ended:
				return
			case <-s.gone:
				return
			case <-changedAgain:
			case <-engineChangedAgain:
			case <-changed:
				state.last = time.Now()
				if !send(yield, "state", a.State()) {
					return
				}
			case <-engineChanged:
				engine.last = time.Now()
				if !a.sendEngine(yield, &sent) {
					return
				}
			case first := <-s.parts:
				for _, part := range s.joined(first) {
					if !send(yield, "stream", part) {
						return
					}
				}
			}
		}
	}
}

// pace limits how often something is sent.
type pace struct{ last time.Time }

// limit returns changed when it is time to send again. Before that it returns a channel that receives at that time.
func (p pace) limit(changed <-chan struct{}) (<-chan struct{}, <-chan time.Time) {
	if wait := stateInterval - time.Since(p.last); wait > 0 {
		return nil, time.After(wait)
	}
	return changed, nil
}

// sendEngine sends what has changed since the last time.
func (a *API) sendEngine(yield func(Event) bool, sent *sentEngine) bool {
	a.mu.Lock()
	view := a.shown
	now, seen := view.objects, view.snapshot != nil
	a.mu.Unlock()
	if !seen {
		return true
	}
	b, err := sent.event(view, now)
	return err == nil && (b == nil || yield(Event{"engine", b}))
}

func send(yield func(Event) bool, name string, data any) bool {
	b, err := json.Marshal(data)
	return err == nil && yield(Event{name, b})
}

// leave removes a subscriber. Without subscribers, logs and shells end after a while.
func (a *API) leave(s *subscriber) {
	last := a.events.unsubscribe(s)
	a.mu.Lock()
	open := len(a.streams)
	a.mu.Unlock()
	if !last || open == 0 {
		return
	}
	_ = a.background(func(ctx context.Context) { // fails only when Run has ended
		select {
		case <-ctx.Done():
		case <-a.events.subscribed():
		case <-time.After(unwatchedTimeout):
			a.closeStreams(errors.New("no page has read it for a minute"))
		}
	})
}

// broadcaster sends events to all subscribers.
type broadcaster struct {
	mu          sync.Mutex
	subscribers map[*subscriber]bool
	any         chan struct{} // closed while there is a subscriber
}

func newBroadcaster() *broadcaster {
	return &broadcaster{subscribers: map[*subscriber]bool{}, any: make(chan struct{})}
}

// subscriber reads events.
type subscriber struct {
	changed chan struct{} // holds a value when there is a newer state
	engine  chan struct{} // holds a value when the engine's objects have changed
	parts   chan Stream
	gone    chan struct{} // closed when the subscriber is disconnected
}

// joined returns a part and those that wait behind it. Consecutive parts of one stream become one.
func (s *subscriber) joined(first Stream) []Stream {
	all := []Stream{first}
	for range len(s.parts) {
		part, last := <-s.parts, &all[len(all)-1]
		if part.ID == last.ID {
			last.Data, last.End, last.Problem = last.Data+part.Data, part.End, part.Problem
		} else {
			all = append(all, part)
		}
	}
	return all
}

func (b *broadcaster) subscribe() *subscriber {
	s := &subscriber{make(chan struct{}, 1), make(chan struct{}, 1), make(chan Stream, maxQueuedParts), make(chan struct{})}
	notify(s.changed)
	notify(s.engine)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.subscribers) == 0 {
		close(b.any)
	}
	b.subscribers[s] = true
	return s
}

// unsubscribe disconnects a subscriber, and returns whether no other one is left.
func (b *broadcaster) unsubscribe(s *subscriber) (last bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	last = len(b.subscribers) == 0
	if b.subscribers[s] {
		delete(b.subscribers, s)
		close(s.gone)
		if last = len(b.subscribers) == 0; last {
			b.any = make(chan struct{})
		}
	}
	return last
}

// subscribed returns a channel that is closed while there is a subscriber.
func (b *broadcaster) subscribed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.any
}

// changed tells all subscribers that there is a new state.
func (b *broadcaster) changed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.subscribers {
		notify(s.changed)
	}
}

// engineChanged tells all subscribers that the engine's objects have changed.
func (b *broadcaster) engineChanged() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.subscribers {
		notify(s.engine)
	}
}

// notify puts a value into a channel that has room for one, unless there is one already.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// deliver sends data of a stream to all subscribers. It waits until there is one, and until each has room. A subscriber
// that makes no room in time is disconnected.
func (b *broadcaster) deliver(ctx context.Context, part Stream) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-b.subscribed():
	}
	b.mu.Lock()
	all := slices.Collect(maps.Keys(b.subscribers))
	b.mu.Unlock()
	for _, s := range all {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case s.parts <- part:
		case <-s.gone:
		case <-time.After(subscriberTimeout):
			b.unsubscribe(s)
		}
	}
	return nil
}
