package mirror

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/engine/objects"
)

// silent is a connection to an engine that does not answer.
type silent struct{ *Session[struct{}] }

func (silent) Start(ctx context.Context) (<-chan error, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
func (silent) ReadDue(context.Context, *Batch[struct{}]) error { return nil }
func (silent) Versions() (version, apiVersion string)          { return "", "" }
func (silent) Close()                                          {}

func plain(err error) error { return err }

func TestAnEngineThatDoesNotAnswerIsGivenUpAndAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := &engine.Link{}
		link.Set(engine.Target{Phase: engine.Running, Engine: "slow", Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("unused") }})
		f := &Follower[silent, struct{}]{
			Name: "slow", Mirror: New(objects.NewSet()), Plain: plain, Refusal: plain,
			Open: func(s *Session[struct{}]) (silent, error) { return silent{s}, nil },
		}
		f.Prepare(Options{Link: link, Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = f.Run(ctx) }()
		for attempt := 1; attempt <= 2; attempt++ {
			if s := f.State(); s.Attempts != attempt-1 {
				t.Errorf("before attempt %d ends: %+v", attempt, s)
			}
			time.Sleep(f.Connect + f.FirstPause/2)
			synctest.Wait()
			if s := f.State(); s.Answers || s.Attempts != attempt || s.Problem != "The engine does not answer: it has not answered within 1m0s." {
				t.Errorf("after attempt %d: %+v", attempt, s)
			}
			time.Sleep(f.FirstPause / 2)
		}
		if err := f.Act(t.Context(), Key{}, func(context.Context, silent) error { return nil }); err == nil || !strings.Contains(err.Error(), "has not answered") {
			t.Errorf("an action is refused with: %v", err)
		}
	})
}

func TestWhatCanNotBeReadIsReadAgainLaterEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Session[struct{}]{Timing: Timing{FirstRetry: time.Second, MaxRetry: 3 * time.Second}, Log: slog.New(slog.DiscardHandler), failures: map[Key]int{}}
		k := Key{Kind: Images}
		for i, want := range []time.Duration{1, 2, 3, 3, 1} {
			if i == 4 {
				s.Succeeded(k)
			}
			s.Retry(t.Context(), k, errors.New("refused"))
			begun := time.Now()
			if b, ok := s.Queue.Take(t.Context()); !ok || !b.Has(k) || time.Since(begun) != want*time.Second {
				t.Errorf("try %d came after %s", i, time.Since(begun))
			}
		}
	})
}

func TestAScriptThatDoesNotBeginIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		s := &Session[struct{}]{plain: plain, Dial: func(_ context.Context, network, command string) (net.Conn, error) {
			if network != "exec" || command != `sudo -n sh -c 'cat "$1"' sh 'it'\''s'` {
				t.Errorf("%s %s", network, command)
			}
			return ours, nil
		}}
		begun := time.Now()
		_, _, err := s.Script(t.Context(), `cat "$1"`, "it's")
		if err == nil || !strings.Contains(err.Error(), "The virtual machine did not answer") || time.Since(begun) != firstLineTimeout {
			t.Errorf("after %s: %v", time.Since(begun), err)
		}
	})
}
