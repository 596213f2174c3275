package mirror

import (
	"context"
	"sync"
	"time"
)

// Kind is what a Key names.
type Kind int

// The kinds.
const (
	Everything Kind = iota // all lists
	Containers             // the container with the key's ID; all of them without one
	Images
	Volumes
	Networks
)

func (k Kind) String() string {
	return [...]string{"everything", "containers", "images", "volumes", "networks"}[k]
}

// Key names something of the engine that has to be read again.
type Key struct {
	Kind Kind
	ID   string
	Late bool // read it once more, because the engine tells some events before they have happened
}

// Queue holds the keys that are to be read, and what was read in the background. A key that is added twice is read once.
// Its zero value is ready to use.
type Queue[R any] struct {
	mu     sync.Mutex
	read   []R
	due    map[Key]time.Time
	told   map[Key][]chan struct{}
	wake   chan struct{}
	closed bool
	added  int // keys since the last call of Busy
}

// Batch is what is to be read now, and what was.
type Batch[R any] struct {
	Keys map[Key][]chan struct{} // to be closed when the key has been read
	Read []R
}

// Has reports whether k is to be read.
func (b *Batch[R]) Has(k Key) bool {
	_, ok := b.Keys[k]
	return ok
}

// CloseAll tells all who wait.
func CloseAll(told []chan struct{}) {
	for _, c := range told {
		close(c)
	}
}

// Deliver adds what was read in the background.
func (q *Queue[R]) Deliver(r R) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.read = append(q.read, r)
	q.wakeLocked()
}

// Add makes k due after a delay, or earlier if it was.
func (q *Queue[R]) Add(k Key, delay time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.addLocked(k, delay)
}

func (q *Queue[R]) addLocked(k Key, delay time.Duration) {
	q.added++
	at := time.Now().Add(delay)
	if before, ok := q.due[k]; ok && before.Before(at) {
		return
	}
	if q.due == nil {
		q.due = map[Key]time.Time{}
	}
	q.due[k] = at
	q.wakeLocked()
}

func (q *Queue[R]) wakeLocked() {
	if q.wake != nil {
		close(q.wake)
		q.wake = nil
	}
}

// Await adds k, and waits until it has been read.
func (q *Queue[R]) Await(ctx context.Context, k Key) {
	q.mu.Lock()
	done := make(chan struct{})
	if q.closed {
		close(done)
	} else {
		q.addLocked(k, 0)
		if q.told == nil {
			q.told = map[Key][]chan struct{}{}
		}
		q.told[k] = append(q.told[k], done)
	}
	q.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// Take waits for keys that are due or have been read, and returns them all. It returns false when the queue is closed or ctx ends.
func (q *Queue[R]) Take(ctx context.Context) (*Batch[R], bool) {
	for {
		b, wait, wake, open := q.poll(time.Now())
		if !open || ctx.Err() != nil {
			return nil, false
		}
		if len(b.Keys)+len(b.Read) > 0 {
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
func (q *Queue[R]) poll(now time.Time) (b *Batch[R], wait time.Duration, wake <-chan struct{}, open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	b, wait = &Batch[R]{Keys: map[Key][]chan struct{}{}, Read: q.read}, time.Hour
	q.read = nil
	for k, at := range q.due {
		if left := at.Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		b.Keys[k] = q.told[k]
		delete(q.due, k)
		delete(q.told, k)
	}
	if q.wake == nil {
		q.wake = make(chan struct{})
	}
	return b, wait, q.wake, !q.closed
}

// Busy returns how many keys were added since it was called last.
func (q *Queue[R]) Busy() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.added
	q.added = 0
	return n
}

// Close ends the queue. Nobody waits for its keys any more.
func (q *Queue[R]) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, told := range q.told {
		CloseAll(told)
	}
	q.told = nil
	q.wakeLocked()
}
