package containerd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"rancherdesktop.io/rdd/internal/engine/answers"
	"rancherdesktop.io/rdd/internal/engine/mirror"
	"rancherdesktop.io/rdd/internal/view"
)

// logFolder is where the output of containers goes that RDD starts.
const logFolder = "/var/lib/containerd/rdd-logs"

func logFile(namespace, id string) string { return path.Join(logFolder, namespace, id+".log") }

// removeLog removes the log of a container that RDD has started.
func (t *task) removeLog(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	t.removeFiles(ctx, logFile(t.namespace, t.id))
}

// removeFiles removes a file or a folder in the guest.
func (s *session) removeFiles(ctx context.Context, path string) {
	conn, err := s.Dial(ctx, "exec", "sudo -n rm -rf -- "+answers.Quote(path))
	if err == nil {
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	}
}

// logSource is where a container's log is, in the guest.
type logSource struct {
	files string                          // a path, in which * stands for the number of the run
	line  func(line []byte) (entry, bool) // reads a line; false: it is none
}

// entry is a line of a log.
type entry struct {
	at     time.Time // zero when the log has no times
	stderr bool
	text   []byte // with the end of the line, unless the next entry goes on with it
}

// logOf says where a container's log is. containerd itself keeps none: whoever starts a container decides where its output goes.
func (t *task) logOf() (logSource, error) {
	labels := t.container.GetLabels()
	switch {
	case labels[nerdctlStateDir] != "":
		return logSource{path.Join(labels[nerdctlStateDir], t.id+"-json.log"), jsonLine}, nil
	case labels[podUID] != "" && labels[podContainer] != "":
		folder := strings.Join([]string{labels[podNamespace], labels[podName], labels[podUID]}, "_")
		return logSource{path.Join("/var/log/pods", folder, labels[podContainer]) + "/*.log", criLine}, nil
	}
	if u, err := url.Parse(t.process.GetStdout()); err == nil && u.Scheme == "file" {
		return logSource{u.Path, plainLine}, nil
	}
	if t.process == nil || t.process.GetStdout() == "" {
		// A run that has been removed may have left one.
		return logSource{logFile(t.namespace, t.id), plainLine}, nil
	}
	return logSource{}, noLog()
}

func noLog() error {
	return view.Status(http.StatusNotFound, "There is no log of this container. containerd keeps none itself: those are found that nerdctl, Kubernetes or RDD have started, or ctr with --log-uri file://PATH.")
}

// jsonLine reads a line of docker's format json-file, which nerdctl has, too.
func jsonLine(line []byte) (e entry, ok bool) {
	var raw struct {
		Log, Stream string
		Time        time.Time
	}
	if json.Unmarshal(line, &raw) != nil {
		return e, false
	}
	return entry{raw.Time, raw.Stream == "stderr", []byte(raw.Log)}, true
}

// criLine reads a line of Kubernetes' format: time, stream, P for a part of a line or F for its end, and the text.
func criLine(line []byte) (e entry, ok bool) {
	parts := bytes.SplitN(bytes.TrimSuffix(line, []byte("\n")), []byte(" "), 4)
	if len(parts) != 4 {
		return e, false
	}
	at, err := time.Parse(time.RFC3339Nano, string(parts[0]))
	if err != nil {
		return e, false
	}
	text := parts[3]
	if string(parts[2]) == "F" {
		text = append(text, '\n')
	}
	return entry{at, string(parts[1]) == "stderr", text}, true
}

func plainLine(line []byte) (entry, bool) { return entry{text: line}, true }

// The script gets a pattern of files, the number of lines from the end or +1, and whether to follow the newest file until the
// standard input ends. It answers first with a line that says whether there is a file.
const logScript = `set -- "$1" "$2" "$3" $(ls -v $1 2>/dev/null | tail -n 1); [ -f "$4" ] || { echo none; exit; }; echo log; ` +
	`[ "$3" = true ] || exec tail -n "$2" -- "$4"; tail -n "$2" -F -- "$4" 2>/dev/null & cat >/dev/null; sleep 0.3; kill $!`

// serveLog answers with a container's output, as kubectl's logs are.
func (s *session) serveLog(w http.ResponseWriter, r *http.Request, o view.Object) error {
	query, err := answers.LogQueryOf(r.URL.Query(), time.Now())
	if err != nil {
		return err
	}
	in, source, err := s.openLog(r.Context(), o.GetName(), query)
	if err != nil {
		return err
	}
	defer in.Close()
	out := answers.NewText(w, query.Limit)
	_ = copyLog(out, in.Output, source.line, query) // ends with the client, the file or the container
	return nil
}

func (s *session) openLog(ctx context.Context, name string, q answers.LogQuery) (*mirror.Script, logSource, error) {
	namespaced, t, err := s.open(ctx, name)
	if err != nil {
		return nil, logSource{}, err
	}
	source, err := t.logOf()
	if err != nil {
		return nil, source, err
	}
	if !source.hasTimes() && (q.Timestamps || !q.Since.IsZero() || q.Stdout != q.Stderr) {
		return nil, source, view.Status(http.StatusBadRequest, "This log is a plain file: it doesn't tell the time of its lines, nor stdout from stderr. Ask without timestamps, since and stream.")
	}
	lines := "+1"
	if q.Tail != nil {
		lines = fmt.Sprint(*q.Tail)
	}
	follow := q.Follow && t.runs()
	in, first, err := s.Script(ctx, logScript, escapePattern(source.files), lines, fmt.Sprint(follow))
	if err != nil {
		return nil, source, err
	}
	if first != "log\n" {
		_ = in.Close()
		return nil, source, noLog()
	}
	if follow {
		go func() { // the end of the container is the end of its log
			_ = t.wait(namespaced)
			_ = in.CloseWrite()
		}()
	}
	return in, source, nil
}

func (l logSource) hasTimes() bool {
	e, _ := l.line([]byte(`{"log":"x","time":"2026-01-02T15:04:05Z"}`))
	c, _ := l.line([]byte("2026-01-02T15:04:05Z stdout F x\n"))
	return !e.at.IsZero() || !c.at.IsZero()
}

// escapePattern keeps a shell from understanding anything in a path but the star.
func escapePattern(path string) string {
	var b strings.Builder
	for _, r := range path {
		if strings.ContainsRune("?[]\\ \t\n", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// copyLog copies a log to its end. What has come is sent on whenever nothing more is there.
func copyLog(out *answers.Text, in *bufio.Reader, read func([]byte) (entry, bool), q answers.LogQuery) error {
	begins := true // an entry begins a line
	for {
		line, err := in.ReadBytes('\n')
		if e, ok := read(line); ok && len(line) > 0 && (e.at.IsZero() || !e.at.Before(q.Since)) && (e.stderr && q.Stderr || !e.stderr && q.Stdout) {
			if q.Timestamps && begins {
				if _, err := io.WriteString(out, e.at.UTC().Format(time.RFC3339Nano)+" "); err != nil {
					return err
				}
			}
			if _, err := out.Write(e.text); err != nil {
				return err
			}
			begins = bytes.HasSuffix(e.text, []byte("\n"))
		}
		switch {
		case err != nil || out.Full():
			return err
		case in.Buffered() == 0:
			out.Flush()
		}
	}
}
