package notify

import "sync"

// queue passes notes to show, one after the other, in a goroutine of its own. Of several notes with the same key that
// wait, it passes the last one.
type queue struct {
	show    func(key string, n *Note) // nil: withdraw the note
	wake    chan struct{}
	done    chan struct{}
	stopped sync.WaitGroup

	mu    sync.Mutex
	keys  []string
	notes map[string]*Note
}

func newQueue(show func(key string, n *Note)) *queue {
	q := &queue{show: show, wake: make(chan struct{}, 1), done: make(chan struct{}), notes: map[string]*Note{}}
	q.stopped.Go(q.run)
	return q
}

// put adds a note, or the withdrawal of one.
func (q *queue) put(key string, n *Note) {
	q.mu.Lock()
	if _, waits := q.notes[key]; !waits {
		q.keys = append(q.keys, key)
	}
	q.notes[key] = n
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// close returns when all notes in the queue are shown.
func (q *queue) close() {
	close(q.done)
	q.stopped.Wait()
}

func (q *queue) run() {
	for last := false; !last; {
		select {
		case <-q.wake:
		case <-q.done:
			last = true
		}
		for key, n, ok := q.take(); ok; key, n, ok = q.take() {
			q.show(key, n)
		}
	}
}

// take removes the oldest note.
func (q *queue) take() (key string, n *Note, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.keys) == 0 {
		return "", nil, false
	}
	key, q.keys = q.keys[0], q.keys[1:]
	n = q.notes[key]
	delete(q.notes, key)
	return key, n, true
}
