package mirror

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/engine/objects"
	"rancherdesktop.io/rdd/internal/testenv"
)

func TestWhyAnEngineDoesNotAnswer(t *testing.T) {
	for _, c := range []struct{ said, words, failed string }{
		{"", "", ""},
		{"docker loaded start 0\nStarting up\n", "", ""},
		{"docker loaded dead 0\n", "", ""},
		{"docker loaded auto-restart 0\nfailed to start daemon:\n  no space left on device\n",
			"In the virtual machine, the service docker ends again and again. It said last: failed to start daemon: no space left on device", ""},
		{"docker loaded failed 3\ninvalid character 'b'\n",
			"the service docker could not start, and nothing tries it again. It said last: invalid character 'b'", "could not start"},
		{"docker loaded failed 3 starting\nno network\n", "the service docker could not start. It is tried again at the end of the boot. It said last: no network", ""},
		{"docker loaded failed 3 degraded\n", "the service docker could not start, and nothing tries it again", "could not start"},
		{"docker loaded start 0 starting\n", "", ""},
		{"rdd-data loaded failed 0\n", "the service rdd-data could not start", "could not start"},
		{"docker masked dead 0\n", "sudo systemctl unmask docker", "is masked"},
	} {
		found := engine.FindingOf(c.said)
		s := stateOf(found, "The engine does not answer: refused.", 3)
		if !strings.Contains(s.Problem, c.words) || !strings.HasPrefix(s.Problem, "The engine does not answer: refused.") || s.Attempts != 3 {
			t.Errorf("%q: %q", c.said, s.Problem)
		}
		if c.words == "" && s.Problem != "The engine does not answer: refused." || !strings.Contains(s.Failed, c.failed) || c.failed == "" && s.Failed != "" {
			t.Errorf("%q: %+v", c.said, s)
		}
	}
}

// lateConnection is a connection to an engine that answers once a channel is closed.
type lateConnection struct {
	*Session[int]
	answers <-chan struct{}
}

func (c *lateConnection) Start(ctx context.Context) (<-chan error, error) {
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-c.answers:
	}
	lost := make(chan error, 1)
	context.AfterFunc(ctx, func() { lost <- ctx.Err() })
	return lost, nil
}
func (c *lateConnection) ReadDue(context.Context, *Batch[int]) error { return nil }
func (c *lateConnection) Versions() (version, apiVersion string)     { return "26", "1.45" }
func (c *lateConnection) Close()                                     {}

// What systemd had given up once can be started by hand, and then takes its time.
func TestAnEngineIsNotFailedAnyMoreOnceItStartsAgain(t *testing.T) {
	f := &Follower[*lateConnection, int]{}
	f.Prepare(Options{Link: &engine.Link{}, Log: slog.New(slog.DiscardHandler)})
	for _, again := range []string{"docker loaded start 0 running\n", "docker loaded auto-restart 1 running\n", ""} {
		f.find(engine.FindingOf("docker loaded failed 3 degraded\n"))
		if f.State().Failed == "" {
			t.Fatal("it has not failed")
		}
		if f.find(engine.FindingOf(again)); f.State().Failed != "" {
			t.Errorf("%q: %+v", again, f.State())
		}
	}
}

// A client that waits for an engine which systemd has given up would never learn why: the attempt to connect hangs.
func TestAnAttemptThatHangsTellsWhy(t *testing.T) {
	link := &engine.Link{}
	answers := make(chan struct{})
	f := &Follower[*lateConnection, int]{Name: engine.Moby, Mirror: New(objects.NewSet()), Plain: func(err error) error { return err }}
	f.Prepare(Options{Link: link, Log: slog.New(slog.DiscardHandler)})
	f.Patience = time.Millisecond
	f.Open = func(s *Session[int]) (*lateConnection, error) { return &lateConnection{s, answers}, nil }
	link.Set(engine.Target{Phase: engine.Running, Engine: engine.Moby, Dial: func(_ context.Context, network, command string) (net.Conn, error) {
		if network != "exec" || !strings.Contains(command, "rdd-data containerd docker") {
			return nil, errors.New("unexpected")
		}
		here, guest := net.Pipe()
		go func() {
			defer guest.Close()
			_, _ = guest.Write([]byte("docker loaded failed 3\ninvalid character\n"))
		}()
		return here, nil
	}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = f.Run(ctx) }()
	testenv.Eventually(t, "it says why", func() bool { return strings.Contains(f.State().Failed, "invalid character") })
	close(answers)
	testenv.Eventually(t, "the engine answers", func() bool { return f.State() == engine.State{Answers: true, Version: "26", APIVersion: "1.45"} })
	cancel()
	<-ended
}
