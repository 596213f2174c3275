package answers

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"rancherdesktop.io/rdd/internal/view"
)

// LogQuery is what a client wants of a container's log.
type LogQuery struct {
	Follow, Timestamps bool
	Stdout, Stderr     bool
	Tail               *int      // lines; nil: all
	Since              time.Time // zero: all
	Limit              int64     // bytes; 0: none
}

// LogQueryOf reads the parameters of a log: follow, tailLines, sinceSeconds, sinceTime, timestamps, limitBytes and stream, as
// kubectl has them. now is the time by the engine's clock.
func LogQueryOf(query url.Values, now time.Time) (q LogQuery, err error) {
	bad := func(format string, a ...any) (LogQuery, error) {
		return q, view.Status(http.StatusBadRequest, fmt.Sprintf(format, a...))
	}
	flags := map[string]bool{}
	for _, name := range []string{"follow", "timestamps", "previous"} {
		if flags[name], err = Boolean(query, name); err != nil {
			return q, err
		}
	}
	if flags["previous"] {
		return bad("There is no log of a previous container: one log has all runs of a container. Leave out previous.")
	}
	q.Follow, q.Timestamps = flags["follow"], flags["timestamps"]
	counts := map[string]*int{}
	for _, name := range []string{"tailLines", "sinceSeconds", "limitBytes"} {
		n, err := Number(query, name)
		if err != nil {
			return q, err
		}
		if n != nil && *n < 0 {
			return bad("%s must not be negative, and is %d.", name, *n)
		}
		counts[name] = n
	}
	q.Tail = counts["tailLines"]
	if n := counts["limitBytes"]; n != nil {
		q.Limit = int64(*n)
	}
	since := query.Get("sinceTime")
	switch seconds := counts["sinceSeconds"]; {
	case seconds != nil && since != "":
		return bad("Give sinceTime or sinceSeconds, not both.")
	case seconds != nil:
		q.Since = now.Add(-time.Duration(*seconds) * time.Second)
	case since != "":
		if q.Since, err = time.Parse(time.RFC3339Nano, since); err != nil {
			return bad("sinceTime must be a time such as 2026-01-31T12:00:00Z, and is %q.", since)
		}
	}
	switch which := query.Get("stream"); strings.ToLower(which) {
	case "", "all":
		q.Stdout, q.Stderr = true, true
	case "stdout":
		q.Stdout = true
	case "stderr":
		q.Stderr = true
	default:
		return bad("stream must be stdout, stderr or all, and is %q.", which)
	}
	if q.Tail != nil && q.Stdout != q.Stderr {
		return bad("tailLines counts the lines of both streams: leave it out, or leave out stream.")
	}
	return q, nil
}

// Text is an answer in text up to a limit. It is sent on when told to.
type Text struct {
	w       io.Writer
	control *http.ResponseController
	left    int64 // bytes until the limit; 0 from the start: none
	written int64
	full    bool
}

// NewText begins an answer. limit is its longest length in bytes; 0: none.
func NewText(w http.ResponseWriter, limit int64) *Text {
	w.Header().Set("Content-Type", "text/plain")
	t := &Text{w: w, control: http.NewResponseController(w), left: limit}
	t.Flush()
	return t
}

// Flush sends what was written.
func (t *Text) Flush() { _ = t.control.Flush() } // fails when the client is gone, which a write finds out

// Full reports whether the limit is reached.
func (t *Text) Full() bool { return t.full }

func (t *Text) Write(p []byte) (int, error) {
	all := len(p)
	if t.left > 0 && t.written+int64(all) >= t.left {
		p, t.full = p[:t.left-t.written], true
	}
	n, err := t.w.Write(p)
	t.written += int64(n)
	if err == nil {
		n = all
	}
	return n, err
}
