//go:build !(linux || freebsd || openbsd || netbsd)

package notify

import (
	"sync"

	"github.com/gen2brain/beeep"
)

// words shows notes without buttons and progress.
type words struct {
	queue *queue
	done  chan struct{}
	ended sync.WaitGroup
}

// New returns what shows notes as those of app.
func New(app string) Notifier {
	beeep.AppName = app
	w := &words{queue: newQueue(), done: make(chan struct{})}
	w.ended.Go(w.run)
	return w
}

func (w *words) Show(n Note) {
	if n.Percent == 0 { // each step would be a note of its own
		w.queue.put(n.Key, &n)
	}
}

func (w *words) Withdraw(key string) { w.queue.put(key, nil) }

// Asks is false: these notes have no buttons.
func (w *words) Asks() bool { return false }

func (w *words) Close() { close(w.done) }

func (w *words) run() {
	for {
		select {
		case <-w.done:
			return
		case <-w.queue.waking:
		}
		for {
			_, n, ok := w.queue.take()
			if !ok {
				break
			}
			if n != nil {
				_ = beeep.Notify(n.Title, n.Body, "") // who has notifications off wants it so
			}
		}
	}
}
