package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"rancherdesktop.io/rdd/core"
)

// progressMode says how progress is shown. It is a flag value.
type progressMode string

const (
	progressAuto  progressMode = "auto"
	progressTTY   progressMode = "tty"
	progressPlain progressMode = "plain"
	progressJSON  progressMode = "json"
	progressQuiet progressMode = "quiet"
)

func progressModes() []string { return []string{"auto", "tty", "plain", "json", "quiet"} }

func (m *progressMode) String() string { return string(*m) }
func (m *progressMode) Type() string   { return "MODE" }

func (m *progressMode) Set(value string) error {
	if !slices.Contains(progressModes(), value) {
		return fmt.Errorf("want one of %s", strings.Join(progressModes(), ", "))
	}
	*m = progressMode(value)
	return nil
}

// progress shows the events of one operation.
type progress interface {
	event(core.Event)
	finish() // leaves the terminal clean
}

func (s *session) newProgress() progress {
	mode := s.progress
	if mode == progressAuto {
		mode = progressPlain
		if s.Terminal {
			mode = progressTTY
		}
	}
	switch mode {
	case progressTTY:
		return &bar{out: s.Err}
	case progressJSON:
		return jsonLines{json.NewEncoder(s.Err)}
	case progressQuiet:
		return quiet{}
	default:
		return &plainLines{out: s.Err}
	}
}

type quiet struct{}

func (quiet) event(core.Event) {}
func (quiet) finish()          {}

// jsonLines writes one event a line.
type jsonLines struct{ enc *json.Encoder }

func (j jsonLines) event(e core.Event) {
	_ = j.enc.Encode(struct {
		core.Event
		Elapsed float64 `json:"elapsed"` // seconds
	}{e, e.Elapsed.Seconds()})
}
func (jsonLines) finish() {}

// plainLines writes a line for each new step and each tenth of its bytes; and the last one again
// after a time with nothing new, so that a log shows that the command lives.
type plainLines struct {
	out io.Writer

	mu    sync.Mutex
	last  string
	start time.Time
	again *time.Timer
}

// silence is how long plain lines say nothing new before they say the same again.
const silence = 30 * time.Second

func (p *plainLines) event(e core.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := e.Text(10)
	if line == p.last {
		return
	}
	p.last, p.start = line, time.Now().Add(-e.Elapsed)
	p.say()
}

// say writes the last line; the caller holds mu.
func (p *plainLines) say() {
	fmt.Fprintf(p.out, "%6s  %s\n", clock(time.Since(p.start)), p.last)
	if p.again != nil {
		p.again.Stop()
	}
	p.again = time.AfterFunc(silence, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.again != nil {
			p.say()
		}
	})
}

func (p *plainLines) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.again != nil {
		p.again.Stop()
		p.again = nil
	}
}

// Columns that they take.
const (
	spinnerWidth = 2
	barWidth     = 20
)

// bar is one line on a terminal: a spinner and the time, and a bar where bytes are known.
type bar struct {
	out io.Writer

	mu   sync.Mutex
	all  *mpb.Progress
	line *mpb.Bar

	// What text reads: mpb draws while it is being called, so text must not wait for mu.
	last  atomic.Pointer[core.Event]
	start time.Time
}

func (b *bar) event(e core.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.Phase == core.PhaseLog {
		b.above(e.Text(1))
		return
	}
	was := b.last.Swap(&e)
	if b.all == nil {
		b.start = time.Now().Add(-e.Elapsed)
		b.all = mpb.New(mpb.WithOutput(b.out), mpb.WithWidth(barWidth), mpb.WithRefreshRate(120*time.Millisecond), mpb.WithAutoRefresh())
	}
	if b.line == nil || (e.Total > 0) != (was.Total > 0) {
		b.replace(e)
	}
	if e.Total > 0 {
		b.line.SetTotal(e.Total, false)
		b.line.SetCurrent(min(e.Bytes, e.Total-1)) // a full bar would be a finished one
	}
}

// above writes a line that stays.
func (b *bar) above(line string) {
	out := b.out
	if b.all != nil {
		out = b.all
	}
	fmt.Fprintln(out, line)
}

// replace swaps the spinner for a bar, or back.
func (b *bar) replace(e core.Event) {
	if b.line != nil {
		b.line.Abort(true)
	}
	style := mpb.BarFillerBuilder(mpb.SpinnerStyle().PositionLeft())
	width := spinnerWidth
	if e.Total > 0 {
		style, width = mpb.BarStyle().Rbound("] "), barWidth
	}
	b.line = b.all.New(max(e.Total, 1), style, mpb.BarWidth(width), mpb.BarFillerTrim(), mpb.AppendDecorators(decor.Any(b.text)))
}

// text is what stands beside the spinner or the bar. It leaves them their place: of a line that is
// too long mpb would drop them.
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
	all, line := b.all, b.line
	b.mu.Unlock()
	if line != nil {
		line.Abort(true)
	}
	if all != nil {
		all.Wait()
	}
}

func clock(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}
