package moby

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"rancherdesktop.io/rdd/internal/engine/answers"
	"rancherdesktop.io/rdd/internal/view"
)

// serveLog answers with a container's output, as kubectl's logs are: with the parameters follow, tailLines, sinceSeconds,
// sinceTime, timestamps, limitBytes and stream.
func (s *session) serveLog(w http.ResponseWriter, r *http.Request, o view.Object) error {
	query, err := answers.LogQueryOf(r.URL.Query(), time.Now().Add(s.skew))
	if err != nil {
		return err
	}
	id := o.GetName()
	c, err := s.inspect(r.Context(), id)
	if err != nil {
		return err
	}
	logs, err := s.actions.ContainerLogs(r.Context(), id, logOptions(query))
	if err != nil {
		return err
	}
	defer logs.Close()
	out := answers.NewText(w, query.Limit)
	_ = copyLog(out, bufio.NewReaderSize(logs, 32<<10), c.terminal) // ends with the client, the engine or the container
	return nil
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

// logOptions says it in the engine's words.
func logOptions(q answers.LogQuery) client.ContainerLogsOptions {
	o := client.ContainerLogsOptions{Follow: q.Follow, Timestamps: q.Timestamps, ShowStdout: q.Stdout, ShowStderr: q.Stderr}
	if q.Tail != nil {
		o.Tail = strconv.Itoa(*q.Tail)
	}
	if !q.Since.IsZero() {
		o.Since = unix(q.Since)
	}
	return o
}

func unix(t time.Time) string { return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()) }

// copyLog copies a log to its end. The output of a container without a terminal comes in frames. What has come is
// flushed whenever nothing more is there.
func copyLog(out *answers.Text, in *bufio.Reader, terminal bool) error {
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
			out.Flush()
		}
		if out.Full() {
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
