package lima

import (
	"sync"
	"time"

	"rancherdesktop.io/rdd/internal/machine/event"
)

const (
	heartbeat = time.Second            // an event at least this often
	quickest  = 200 * time.Millisecond // and bytes at most this often
)

// progress reports the stage under way.
type progress struct {
	w    *event.Writer
	done chan struct{}

	mu   sync.Mutex
	now  event.Event
	last time.Time
}

func newProgress(w *event.Writer) *progress {
	p := &progress{w: w, done: make(chan struct{})}
	go p.beat()
	return p
}

func (p *progress) stop() { close(p.done) }

// beat repeats the event under way. Writing to a reader that has gone ends this process (SIGPIPE),
// which is how a child of a crashed service ends.
func (p *progress) beat() {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			return
		case <-tick.C:
			p.mu.Lock()
			p.say()
			p.mu.Unlock()
		}
	}
}

// begin reports a new stage.
func (p *progress) begin(e event.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = e
	p.say()
}

// bytes reports how far the stage is. It may be called often.
func (p *progress) bytes(done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.Bytes, p.now.Total = done, total
	if time.Since(p.last) >= quickest || done == total && total > 0 {
		p.say()
	}
}

// message changes what is said of the stage.
func (p *progress) message(m string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.Message = m
	p.say()
}

// say writes the event under way; the caller holds mu.
func (p *progress) say() {
	if p.now.Phase == "" {
		return
	}
	p.last = time.Now()
	_ = p.w.Write(p.now) // a reader that is gone ends us by a signal
}
