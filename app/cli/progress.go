package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"rancherdesktop.io/rdd/core"
)

// The modes of --progress.
const (
	progressAuto  = "auto"
	progressTTY   = "tty"
	progressPlain = "plain"
	progressJSON  = "json"
	progressQuiet = "quiet"
)

// progress shows the events of operations.
type progress interface {
	event(core.Event)
	// finish leaves the terminal clean. Another event may follow.
	finish()
}

func (s *session) newProgress() progress {
	switch mode := s.progressMode; {
	case mode == progressQuiet:
		return funcProgress(func(core.Event) {})
	case mode == progressJSON:
		return jsonProgress(s.Err)
	case mode == progressTTY, mode == progressAuto && s.Terminal:
		return &bar{out: s.Err}
	}
	return &plainLines{out: s.Err}
}

// endProgress removes the progress from the terminal, so that something else can be printed.
func (s *session) endProgress() {
	if s.progress != nil {
		s.progress.finish()
	}
}

// funcProgress is progress that needs no finish.
type funcProgress func(core.Event)

func (f funcProgress) event(e core.Event) { f(e) }
func (funcProgress) finish()              {}

// jsonProgress writes one event a line.
func jsonProgress(w io.Writer) progress {
	enc := json.NewEncoder(w)
	return funcProgress(func(e core.Event) {
		_ = enc.Encode(struct {
			core.Event
			Elapsed float64 `json:"elapsed"` // seconds
		}{e, e.Elapsed.Seconds()})
	})
}

// plainLines writes a line for each new step, and for each tenth of its bytes. It repeats the last line when
// nothing new comes for a while, so that a log shows that the command is still running.
type plainLines struct {
	out io.Writer

	mu     sync.Mutex
	last   string
	start  time.Time
	repeat *time.Timer
}

// repeatAfter is the time without a new line after which the last one is repeated.
const repeatAfter = 30 * time.Second

func (p *plainLines) event(e core.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := e.Text(10)
	if line == p.last {
		return
	}
	p.last, p.start = line, time.Now().Add(-e.Elapsed)
	p.write()
}

// write writes the last line. The caller holds mu.
func (p *plainLines) write() {
	fmt.Fprintf(p.out, "%6s  %s\n", clock(time.Since(p.start)), p.last)
	if p.repeat != nil {
		p.repeat.Stop()
	}
	p.repeat = time.AfterFunc(repeatAfter, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.repeat != nil {
			p.write()
		}
	})
}

func (p *plainLines) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.repeat != nil {
		p.repeat.Stop()
		p.repeat = nil
	}
}

// The columns of the spinner and of the bar.
const (
	spinnerWidth = 2
	barWidth     = 20
)

// bar is one line on a terminal: a spinner and the time, or a bar when the number of bytes is known.
type bar struct {
	out io.Writer

	mu   sync.Mutex
	all  *mpb.Progress
	line *mpb.Bar

	// text reads these without mu, because event may hold mu and wait for mpb, which calls text.
	last  atomic.Pointer[core.Event]
	start time.Time
}

func (b *bar) event(e core.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.Phase == core.PhaseLog { // a line that stays, above the bar
		out := b.out
		if b.all != nil {
			out = b.all
		}
		fmt.Fprintln(out, e.Text(1))
		return
	}
	previous := b.last.Swap(&e)
	if b.all == nil {
		b.start = time.Now().Add(-e.Elapsed)
		b.all = mpb.New(mpb.WithOutput(b.out), mpb.WithWidth(barWidth), mpb.WithRefreshRate(120*time.Millisecond), mpb.WithAutoRefresh())
	}
	if b.line == nil || (e.Total > 0) != (previous.Total > 0) {
		b.replace(e)
	}
	if e.Total > 0 {
		b.line.SetTotal(e.Total, false)
		b.line.SetCurrent(min(e.Bytes, e.Total-1)) // mpb ends a bar that is full
	}
}

// replace shows a bar instead of the spinner, or the spinner instead of the bar.
func (b *bar) replace(e core.Event) {
	if b.line != nil {
		b.line.Abort(true)
	}
	style, width := mpb.BarFillerBuilder(mpb.SpinnerStyle().PositionLeft()), spinnerWidth
	if e.Total > 0 {
		style, width = mpb.BarStyle().Rbound("] "), barWidth
	}
	b.line = b.all.New(max(e.Total, 1), style, mpb.BarWidth(width), mpb.BarFillerTrim(), mpb.AppendDecorators(decor.Any(b.text)))
}

// text is the text beside the spinner or the bar. It is cut to the width of the terminal, because mpb drops the
// spinner or the bar from a line that is too long.
func (b *bar) text(s decor.Statistics) string {
	e := *b.last.Load()
	room := s.AvailableWidth - spinnerWidth - 2
	if e.Total > 0 {
		room = s.AvailableWidth - barWidth - 4
	}
	text := []rune(clock(time.Since(b.start)) + "  " + e.Text(1))
	if len(text) <= room {
		return string(text)
	}
	return string(text[:max(0, room-1)]) + "…"
}

func (b *bar) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all == nil {
		return
	}
	b.line.Abort(true)
	b.all.Wait()
	b.all, b.line = nil, nil
}

// clock is a duration in the form "2.0s" or "1m2s".
func clock(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}
