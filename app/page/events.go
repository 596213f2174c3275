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

// Event is pushed to the page: the whole state, or a part of a stream.
type Event struct {
	Name string // state or stream
	Data json.RawMessage
}

const (
	stateGap   = 50 * time.Millisecond // between two states for one subscriber
	mostQueued = 256 << 10             // bytes of streams that wait for a subscriber
	mostAtOnce = 64 << 10              // bytes in one stream event
	stuckAfter = 10 * time.Second      // a subscriber that takes nothing for so long is let go
	unseen     = time.Minute           // streams end when nobody has been there for so long
)

// Events gives the state at once and then on changes, at most one in 50 ms, and the parts of open streams in
// order, until ctx ends or the loop does. A loop that is slow gets the newest state, and holds streams up.
func (a *API) Events(ctx context.Context) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		s := a.hub.join()
		defer a.leave(s)
		var last time.Time
		for {
			due := time.Since(last) >= stateGap
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
				gap = time.After(stateGap - time.Since(last))
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

// leave lets a subscriber go. Streams that nobody sees end after a while, and a shell with them.
func (a *API) leave(s *subscriber) {
	last := a.hub.leave(s)
	a.mu.Lock()
	open := len(a.streams)
	a.mu.Unlock()
	if !last || open == 0 {
		return
	}
	_ = a.begin(func(ctx context.Context) { // fails when everything ends anyhow
		select {
		case <-ctx.Done():
		case <-a.hub.company():
		case <-time.After(unseen):
			a.closeStreams(errors.New("nobody has looked at it for a minute"))
		}
	})
}

// hub has the subscribers.
type hub struct {
	mu   sync.Mutex
	all  map[*subscriber]bool
	some chan struct{} // closed while there is a subscriber
}

// subscriber is one who takes events.
type subscriber struct {
	wake chan struct{} // there may be something to take

	mu      sync.Mutex
	changed bool // there is a state that it doesn't have
	queue   []Stream
	queued  int
	gone    bool
	room    chan struct{} // closed when the queue was taken
}

func (h *hub) join() *subscriber {
	s := &subscriber{wake: make(chan struct{}, 1), room: make(chan struct{}), changed: true}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = map[*subscriber]bool{}
	}
	h.all[s] = true
	if len(h.all) == 1 {
		close(h.absent())
	}
	return s
}

// absent is some, made when it is missing.
func (h *hub) absent() chan struct{} {
	if h.some == nil {
		h.some = make(chan struct{})
	}
	return h.some
}

// leave says whether that was the last subscriber.
func (h *hub) leave(s *subscriber) (last bool) {
	s.mu.Lock()
	s.drop()
	s.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.all, s)
	if len(h.all) > 0 {
		return false
	}
	h.some = make(chan struct{})
	return true
}

// company is closed while there is a subscriber.
func (h *hub) company() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.absent()
}

func (h *hub) each(do func(*subscriber)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.all {
		do(s)
	}
}

// changed tells everybody that there is a new state.
func (h *hub) changed() {
	h.each(func(s *subscriber) {
		s.mu.Lock()
		s.changed = true
		s.mu.Unlock()
		s.poke()
	})
}

func (s *subscriber) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// deliver passes a part of a stream on to everybody, when each has room for it and there is somebody.
func (h *hub) deliver(ctx context.Context, part Stream) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-h.company():
	}
	var all []*subscriber
	h.each(func(s *subscriber) { all = append(all, s) })
	for _, s := range all {
		if err := s.put(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// put adds a part to the queue. It waits for room, but not for ever: then the subscriber is let go.
func (s *subscriber) put(ctx context.Context, part Stream) error {
	for {
		s.mu.Lock()
		if s.gone || s.queued < mostQueued {
			s.add(part)
			s.mu.Unlock()
			s.poke()
			return nil
		}
		room := s.room
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-room:
		case <-time.After(stuckAfter):
			s.mu.Lock()
			s.drop()
			s.mu.Unlock()
			s.poke()
		}
	}
}

// add joins the part with the one before, if that is of the same stream.
func (s *subscriber) add(part Stream) {
	if s.gone {
		return
	}
	s.queued += len(part.Data)
	if n := len(s.queue); n > 0 && s.queue[n-1].ID == part.ID && !s.queue[n-1].End && !part.End && len(s.queue[n-1].Data)+len(part.Data) <= mostAtOnce {
		s.queue[n-1].Data += part.Data
		return
	}
	s.queue = append(s.queue, part)
}

// drop ends a subscriber.
func (s *subscriber) drop() {
	if !s.gone {
		s.gone, s.queue, s.queued = true, nil, 0
		close(s.room)
	}
}

// take returns what there is for the subscriber. The change of state counts as taken when it is due.
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

// printable is text that JSON can hold unchanged. What is cut within a character is the next one's begin.
func printable(b []byte) (text string, rest []byte) {
	text = strings.ToValidUTF8(string(b[:len(b)-cut(b)]), "\uFFFD")
	return text, b[len(b)-cut(b):]
}
