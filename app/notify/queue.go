package notify

import "sync"

// queue holds, in order, what is to be shown or withdrawn, the last of each key.
type queue struct {
	mu     sync.Mutex
	keys   []string
	notes  map[string]*Note // nil: withdraw
	waking chan struct{}
}

func newQueue() *queue { return &queue{notes: map[string]*Note{}, waking: make(chan struct{}, 1)} }

func (q *queue) put(key string, n *Note) {
	q.mu.Lock()
	if _, waits := q.notes[key]; !waits {
		q.keys = append(q.keys, key)
	}
	q.notes[key] = n
	q.mu.Unlock()
	select {
	case q.waking <- struct{}{}:
	default:
	}
}

// take returns the oldest.
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
