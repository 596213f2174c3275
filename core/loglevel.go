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

// LogLevels are the levels of what is logged, as users name them: the first logs least.
func LogLevels() []string { return instance.LogLevels() }

// Logging returns a core that starts services which log at the given level, and writes what it does itself
// to w. An empty level is that of the environment. What a core does is of the level debug, so w hears
// nothing of it at any other.
func (c *Core) Logging(level string, w io.Writer) *Core {
	with := *c
	if level != "" {
		with.logLevel = level
	}
	var least slog.Level
	if least.UnmarshalText([]byte(with.logLevel)) == nil { // else there is none
		with.log = slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: least}))
	}
	return &with
}

// SetLogLevel stores the level at which the instance's service logs from its next start on.
func (c *Core) SetLogLevel(level string) error {
	settings, _ := c.Settings() // usable with an error, too
	settings.LogLevel = level
	return c.SetSettings(settings)
}

// running logs a program that is about to be run.
func (c *Core) running(cmd *exec.Cmd) { c.log.Debug("run a program", "command", cmd.Args) }

// logged logs the requests that pass through next. It leaves out what they carry.
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

// roundTripper is a function that carries requests.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
