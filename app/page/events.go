package page

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"sync"
	"time"
)

// Event is pushed to the page: the whole state, or data of a stream.
type Event struct {
	Name string // state or stream
	Data json.RawMessage
}

const (
	stateInterval     = 50 * time.Millisecond // the least time between two states for one subscriber
	maxQueued         = 256 << 10             // bytes of stream data that wait for a subscriber
	maxPartSize       = 64 << 10              // bytes in one stream event
	subscriberTimeout = 10 * time.Second      // a subscriber that reads nothing for so long is disconnected
	unwatchedTimeout  = time.Minute           // streams end when there was no subscriber for so long
)

// Events yields the state at once and then after changes, at most once in 50 ms, and the data of open streams in
// order, until ctx or the loop ends. A slow loop gets the newest state only, and makes streams wait.
func (a *API) Events(ctx context.Context) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		s := a.events.subscribe()
		defer a.leave(s)
		var last time.Time
		for {
			due := time.Since(last) >= stateInterval
			changed, parts, gone := s.take(due)
			if gone {
				return
			}
			for _, part := range parts {
				if !send(yield, "stream", part) {
					return
				}
			}
			if changed && due {
				last = time.Now()
				if !send(yield, "state", a.State()) {
					return
				}
				continue
			}
			var gap <-chan time.Time
			if changed {
				gap = time.After(stateInterval - time.Since(last))
			}
			select {
			case <-ctx.Done():
				return
			case <-a.ended:
				return
			case <-s.wake:
			case <-gap:
			}
		}
	}
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

// subscriber reads events.
type subscriber struct {
	wake chan struct{} // something may have arrived

	mu      sync.Mutex
	changed bool // there is a newer state
	queue   []Stream
	queued  int
	gone    bool
	room    chan struct{} // closed when the queue was read
}

func (b *broadcaster) subscribe() *subscriber {
	s := &subscriber{wake: make(chan struct{}, 1), room: make(chan struct{}), changed: true}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subscribers == nil {
		b.subscribers = map[*subscriber]bool{}
	}
	b.subscribers[s] = true
	if len(b.subscribers) == 1 {
		close(b.anySubscriber())
	}
	return s
}

// anySubscriber returns any, and makes it if needed.
func (b *broadcaster) anySubscriber() chan struct{} {
	if b.any == nil {
		b.any = make(chan struct{})
	}
	return b.any
}

// unsubscribe removes a subscriber, and returns whether it was the last one.
func (b *broadcaster) unsubscribe(s *subscriber) (last bool) {
	s.mu.Lock()
	s.close()
	s.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.subscribers, s)
	if len(b.subscribers) > 0 {
		return false
	}
	b.any = make(chan struct{})
	return true
}

// subscribed returns a channel that is closed while there is a subscriber.
func (b *broadcaster) subscribed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.anySubscriber()
}

func (b *broadcaster) each(do func(*subscriber)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.subscribers {
		do(s)
	}
}

// changed tells all subscribers that there is a new state.
func (b *broadcaster) changed() {
	b.each(func(s *subscriber) {
		s.mu.Lock()
		s.changed = true
		s.mu.Unlock()
		s.notify()
	})
}

func (s *subscriber) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// deliver sends data of a stream to all subscribers. It waits until there is one, and until each has room.
func (b *broadcaster) deliver(ctx context.Context, part Stream) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-b.subscribed():
	}
	var all []*subscriber
	b.each(func(s *subscriber) { all = append(all, s) })
	for _, s := range all {
		if err := s.send(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// send adds data to the queue. It waits for room; a subscriber that makes none in time is disconnected.
func (s *subscriber) send(ctx context.Context, part Stream) error {
	for {
		s.mu.Lock()
		if s.gone || s.queued < maxQueued {
			s.add(part)
			s.mu.Unlock()
			s.notify()
			return nil
		}
		room := s.room
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-room:
		case <-time.After(subscriberTimeout):
			s.mu.Lock()
			s.close()
			s.mu.Unlock()
			s.notify()
		}
	}
}

// add appends data to the queue, to the last entry if that is of the same stream.
func (s *subscriber) add(part Stream) {
	if s.gone {
		return
	}
	s.queued += len(part.Data)
	if n := len(s.queue); n > 0 && s.queue[n-1].ID == part.ID && !s.queue[n-1].End && !part.End && len(s.queue[n-1].Data)+len(part.Data) <= maxPartSize {
		s.queue[n-1].Data += part.Data
		return
	}
	s.queue = append(s.queue, part)
}

// close disconnects a subscriber.
func (s *subscriber) close() {
	if !s.gone {
		s.gone, s.queue, s.queued = true, nil, 0
		close(s.room)
	}
}

// take returns what has arrived for the subscriber. It takes the change of state only when that is due.
func (s *subscriber) take(due bool) (changed bool, parts []Stream, gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed, parts, gone = s.changed, s.queue, s.gone
	if due {
		s.changed = false
	}
	if len(parts) > 0 {
		s.queue, s.queued = nil, 0
		close(s.room)
		s.room = make(chan struct{})
	}
	return changed, parts, gone
}

// printable returns valid UTF-8, and the rest: an incomplete character at the end, with which the next data begins.
func printable(b []byte) (text string, rest []byte) {
	text = strings.ToValidUTF8(string(b[:len(b)-cut(b)]), "\uFFFD")
	return text, b[len(b)-cut(b):]
}
