package server

import (
	"bufio"
	"context"
	"flag"
	"io"
	"log/slog"
	"os"

	"golang.org/x/time/rate"
	"k8s.io/klog/v2"
)

// CaptureLibraryLogs sends the logs of Kubernetes' libraries to log: warnings and errors, among them those of connections
// to the API server. At the level debug, failed TLS handshakes come too; klog has no cheap way to find them at others.
func CaptureLibraryLogs(log *slog.Logger) error {
	klog.SetSlogLogger(slog.New(klogHandler{log.Handler()}))
	if log.Enabled(context.Background(), slog.LevelDebug) {
		flags := flag.NewFlagSet("klog", flag.ContinueOnError)
		klog.InitFlags(flags)
		// The file of k8s.io/apiserver that logs them with klog.V(5).
		if err := flags.Set("vmodule", "secure_serving=5"); err != nil {
			return err
		}
	}
	// The API server prints its http.Server's other errors on os.Stderr and takes no logger. A crash of the
	// program doesn't use this variable.
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	os.Stderr = write
	go logLines(read, log)
	return nil
}

// klogHandler passes on warnings, errors, and what vmodule selects. The other messages are about Kubernetes' internals.
type klogHandler struct{ slog.Handler }

func (h klogHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return (level >= slog.LevelWarn || level < slog.LevelDebug) && h.Handler.Enabled(ctx, max(level, slog.LevelDebug))
}

func (h klogHandler) Handle(ctx context.Context, r slog.Record) error {
	r.Level = max(r.Level, slog.LevelDebug) // klog.V(5) is slog's level -5
	return h.Handler.Handle(ctx, r)
}

func (h klogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return klogHandler{h.Handler.WithAttrs(attrs)}
}
func (h klogHandler) WithGroup(name string) slog.Handler {
	return klogHandler{h.Handler.WithGroup(name)}
}

// How many lines of stderr become warnings. A client that uses another protocol may cause an error per second, without end.
const (
	stderrPerSecond = 0.1
	stderrBurst     = 10
)

// logLines logs each line as a warning. It drops lines when there are too many.
func logLines(from io.Reader, log *slog.Logger) {
	limit := rate.NewLimiter(stderrPerSecond, stderrBurst)
	dropped := 0
	for lines := bufio.NewScanner(from); lines.Scan(); {
		switch {
		case !limit.Allow():
			dropped++
		case dropped > 0:
			log.Warn(lines.Text(), "dropped", dropped)
			dropped = 0
		default:
			log.Warn(lines.Text())
		}
	}
}
