package vm

import (
	"sync"
	"time"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/machine/event"
)

const (
	heartbeatInterval = time.Second            // an event at least this often
	minReportInterval = 200 * time.Millisecond // and bytes at most this often
)

// progress reports the current step. Neither the number of a step nor its bytes ever go back: work that starts over,
// such as a download from the next place, is one more step.
type progress struct {
	w    *event.Writer
	stop func()

	mu          sync.Mutex
	now         event.Event
	last        time.Time
	minInterval time.Duration // between two reports of bytes
	extra       int32         // steps that the plan didn't have
}

// newProgress repeats the current event until stop is called. Writing to a reader that is gone ends this process
// (SIGPIPE), which is how a child of a crashed service ends.
func newProgress(w *event.Writer) *progress {
	p := &progress{w: w, minInterval: minReportInterval}
	p.stop = lima.Every(heartbeatInterval, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.write()
	})
	return p
}

// begin reports a step, by its number in the plan. A step without any bytes yet may be renamed.
func (p *progress) begin(e event.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	least := p.now.Step
	if p.now.Bytes > 0 {
		least++
	}
	p.extra = max(p.extra, least-e.Step)
	e.Step, e.Steps = e.Step+p.extra, e.Steps+p.extra
	p.now = e
	p.write()
}

// bytes reports the progress of the step. It may be called often.
func (p *progress) bytes(done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if done < p.now.Bytes {
		p.extra++
		p.now.Step++
		p.now.Steps++
	}
	p.now.Bytes, p.now.Total = done, total
	if time.Since(p.last) >= p.minInterval || done == total && total > 0 {
		p.write()
	}
}

// write writes the current event; the caller holds mu.
func (p *progress) write() {
	if p.now.Phase == "" {
		return
	}
	p.last = time.Now()
	_ = p.w.Write(p.now) // a reader that is gone ends us by a signal
}
