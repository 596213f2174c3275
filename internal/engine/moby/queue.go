package moby

import (
	"context"
	"sync"
	"time"
)

// kind is what a key names.
type kind int

const (
	everything kind = iota // all lists
	containers             // the container with the key's ID; all of them without one
	images
	volumes
	networks
)

func (k kind) String() string {
	return [...]string{"everything", "containers", "images", "volumes", "networks"}[k]
}

// key names something of the engine that has to be read again.
type key struct {
	kind kind
	id   string
	late bool // read it once more, because the engine tells some events before they have happened
}

// queue holds the keys that are to be read, and what was read in the background. A key that is added twice is read once.
// Its zero value is ready to use.
type queue struct {
	mu     sync.Mutex
	read   []reading
	due    map[key]time.Time
	told   map[key][]chan struct{}
	wake   chan struct{}
	closed bool
	added  int // keys since the last call of busy
}

// batch is what is to be read now, and what was.
type batch struct {
	keys map[key][]chan struct{} // to be closed when the key has been read
	read []reading
}

func (b *batch) has(k key) bool {
	_, ok := b.keys[k]
	return ok
}

func closeAll(told []chan struct{}) {
	for _, c := range told {
		close(c)
	}
}

// deliver adds what was read in the background.
func (q *queue) deliver(r reading) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.read = append(q.read, r)
	q.wakeLocked()
}

// add makes k due after a delay, or earlier if it was.
func (q *queue) add(k key, delay time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.addLocked(k, delay)
}

func (q *queue) addLocked(k key, delay time.Duration) {
	q.added++
	at := time.Now().Add(delay)
	if before, ok := q.due[k]; ok && before.Before(at) {
		return
	}
	if q.due == nil {
		q.due = map[key]time.Time{}
	}
	q.due[k] = at
	q.wakeLocked()
}

func (q *queue) wakeLocked() {
	if q.wake != nil {
		close(q.wake)
		q.wake = nil
	}
}

// await adds k, and waits until it has been read.
func (q *queue) await(ctx context.Context, k key) {
	q.mu.Lock()
	done := make(chan struct{})
	if q.closed {
		close(done)
	} else {
		q.addLocked(k, 0)
		if q.told == nil {
			q.told = map[key][]chan struct{}{}
		}
		q.told[k] = append(q.told[k], done)
	}
	q.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// take waits for keys that are due or have been read, and returns them all. It returns false when the queue is closed or ctx ends.
func (q *queue) take(ctx context.Context) (*batch, bool) {
	for {
		b, wait, wake, open := q.poll(time.Now())
		if !open || ctx.Err() != nil {
			return nil, false
		}
		if len(b.keys)+len(b.read) > 0 {
			return b, true
		}
		timer := time.NewTimer(wait)
		select {
		case <-wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// poll returns what is due, else how long nothing is, and a channel that is closed when that has changed.
func (q *queue) poll(now time.Time) (b *batch, wait time.Duration, wake <-chan struct{}, open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	b, wait = &batch{keys: map[key][]chan struct{}{}, read: q.read}, time.Hour
	q.read = nil
	for k, at := range q.due {
		if left := at.Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		b.keys[k] = q.told[k]
		delete(q.due, k)
		delete(q.told, k)
	}
	if q.wake == nil {
		q.wake = make(chan struct{})
	}
	return b, wait, q.wake, !q.closed
}

// busy returns how many keys were added since it was called last.
func (q *queue) busy() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.added
	q.added = 0
	return n
}

// close ends the queue. Nobody waits for its keys any more.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, told := range q.told {
		closeAll(told)
	}
	q.told = nil
	q.wakeLocked()
}
