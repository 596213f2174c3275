package moby

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"rancherdesktop.io/rdd/internal/engine/answers"
	"rancherdesktop.io/rdd/internal/view"
)

// serveLog answers with a container's output, as kubectl's logs are: with the parameters follow, tailLines, sinceSeconds,
// sinceTime, timestamps, limitBytes and stream.
func (e *Engine) serveLog(w http.ResponseWriter, r *http.Request, o view.Object) {
	s, err := e.Current()
	if err != nil {
		answers.Fail(w, err)
		return
	}
	options, limit, err := logOptions(r.URL.Query(), s.skew)
	if err != nil {
		answers.Fail(w, err)
		return
	}
	id := o.GetName()
	c, err := s.inspect(r.Context(), id)
	if err != nil {
		answers.Fail(w, refusal(err))
		return
	}
	logs, err := s.actions.ContainerLogs(r.Context(), id, options)
	if err != nil {
		answers.Fail(w, refusal(err))
		return
	}
	defer logs.Close()
	w.Header().Set("Content-Type", "text/plain")
	out := &flusher{w: w, control: http.NewResponseController(w), left: limit}
	out.flush()
	_ = copyLog(out, bufio.NewReaderSize(logs, 32<<10), c.terminal) // ends with the client, the engine or the container
}

// facts are what streams have to know about a container.
type facts struct{ terminal, running bool }

func (s *session) inspect(ctx context.Context, id string) (facts, error) {
	ctx, cancel := context.WithTimeout(ctx, headerTimeout)
	defer cancel()
	c, err := s.actions.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return facts{}, err
	}
	return facts{
		terminal: c.Container.Config != nil && c.Container.Config.Tty,
		running:  c.Container.State != nil && c.Container.State.Running,
	}, nil
}

// logOptions reads the parameters of a log. skew is the engine's clock minus ours.
func logOptions(query url.Values, skew time.Duration) (o client.ContainerLogsOptions, limit int64, err error) {
	bad := func(format string, a ...any) (client.ContainerLogsOptions, int64, error) {
		return o, 0, view.Status(http.StatusBadRequest, fmt.Sprintf(format, a...))
	}
	flags := map[string]bool{}
	for _, name := range []string{"follow", "timestamps", "previous"} {
		if flags[name], err = answers.Boolean(query, name); err != nil {
			return o, 0, err
		}
	}
	if flags["previous"] {
		return bad("There is no log of a previous container: docker keeps one log for all runs of a container. Leave out previous.")
	}
	o.Follow, o.Timestamps = flags["follow"], flags["timestamps"]
	counts := map[string]int{}
	for _, name := range []string{"tailLines", "sinceSeconds", "limitBytes"} {
		n, err := answers.Number(query, name)
		if err != nil {
			return o, 0, err
		}
		if n != nil && *n < 0 {
			return bad("%s must not be negative, and is %d.", name, *n)
		}
		if n != nil {
			counts[name] = *n
		}
	}
	n, tail := counts["tailLines"]
	if tail {
		o.Tail = strconv.Itoa(n)
	}
	seconds, relative := counts["sinceSeconds"]
	since := query.Get("sinceTime")
	switch {
	case relative && since != "":
		return bad("Give sinceTime or sinceSeconds, not both.")
	case relative:
		o.Since = unix(time.Now().Add(skew).Add(-time.Duration(seconds) * time.Second))
	case since != "":
		t, err := time.Parse(time.RFC3339Nano, since)
		if err != nil {
			return bad("sinceTime must be a time such as 2026-01-31T12:00:00Z, and is %q.", since)
		}
		o.Since = unix(t)
	}
	switch which := query.Get("stream"); strings.ToLower(which) {
	case "", "all":
		o.ShowStdout, o.ShowStderr = true, true
	case "stdout":
		o.ShowStdout = true
	case "stderr":
		o.ShowStderr = true
	default:
		return bad("stream must be stdout, stderr or all, and is %q.", which)
	}
	if tail && o.ShowStdout != o.ShowStderr {
		return bad("tailLines counts the lines of both streams: leave it out, or leave out stream.")
	}
	return o, int64(counts["limitBytes"]), nil
}

func unix(t time.Time) string { return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()) }

// copyLog copies a log to its end. The output of a container without a terminal comes in frames. What has come is
// flushed whenever nothing more is there.
func copyLog(out *flusher, in *bufio.Reader, terminal bool) error {
	for {
		size := int64(max(in.Buffered(), 1))
		if !terminal {
			kind, length, err := readFrame(in)
			if err != nil {
				return err
			}
			if kind == stdcopy.Systemerr {
				text, _ := io.ReadAll(io.LimitReader(in, length))
				return errors.New(string(text))
			}
			size = length
		}
		if _, err := io.CopyN(out, in, size); err != nil {
			return err
		}
		if in.Buffered() == 0 {
			out.flush()
		}
		if out.full {
			return nil
		}
	}
}

// readFrame reads the header of a frame: which stream it is of, and its length.
func readFrame(in io.Reader) (stdcopy.StdType, int64, error) {
	var header [8]byte
	if _, err := io.ReadFull(in, header[:]); err != nil {
		return 0, 0, err
	}
	return stdcopy.StdType(header[0]), int64(binary.BigEndian.Uint32(header[4:])), nil
}

// flusher writes an answer up to a limit, and sends it on when told to.
type flusher struct {
	w       io.Writer
	control *http.ResponseController
	left    int64 // bytes until the limit; 0 from the start: none
	written int64
	full    bool
}

func (f *flusher) flush() { _ = f.control.Flush() } // fails when the client is gone, which a write finds out

func (f *flusher) Write(p []byte) (int, error) {
	all := len(p)
	if f.left > 0 && f.written+int64(all) >= f.left {
		p, f.full = p[:f.left-f.written], true
	}
	n, err := f.w.Write(p)
	f.written += int64(n)
	if err == nil {
		n = all
	}
	return n, err
}
