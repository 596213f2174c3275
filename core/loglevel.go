package core

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os/exec"
	"time"

	"rancherdesktop.io/rdd/internal/instance"
)

// LogLevels lists the log levels. The first logs the least.
func LogLevels() []string { return instance.LogLevels() }

// Logging returns a core with a log level, both for the services that it starts and for its own log, which it writes to w.
// An empty level stands for that of the environment. All messages of a core have the level debug.
func (c *Core) Logging(level string, w io.Writer) *Core {
	with := *c
	if level != "" {
		with.logLevel = level
	}
	var minimum slog.Level
	if minimum.UnmarshalText([]byte(with.logLevel)) == nil { // it may be empty
		with.log = slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: minimum}))
	}
	return &with
}

// SetLogLevel stores the log level of the instance's service. It takes effect at the next start.
func (c *Core) SetLogLevel(level string) error {
	settings, _ := c.Settings() // with an error, the defaults
	settings.LogLevel = level
	return c.SetSettings(settings)
}

// running logs that a program is about to run.
func (c *Core) running(cmd *exec.Cmd) { c.log.Debug("run a program", "command", cmd.Args) }

// logged logs requests and responses, without headers and bodies.
func (c *Core) logged(next http.RoundTripper) http.RoundTripper {
	if !c.log.Enabled(context.Background(), slog.LevelDebug) {
		return next
	}
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		began := time.Now()
		resp, err := next.RoundTrip(r)
		log := c.log.With("method", r.Method, "url", r.URL.Redacted(), "took", time.Since(began))
		if err != nil {
			log.Debug("a request failed", "err", err)
			return resp, err
		}
		log.Debug("a request was answered", "status", resp.StatusCode)
		return resp, nil
	})
}

// roundTripper is a function as an http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
