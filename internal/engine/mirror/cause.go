package mirror

import (
	"context"
	"io"
	"strings"
	"time"

	"rancherdesktop.io/rdd/internal/engine"
)

// stateOf returns the state of an engine that doesn't answer. said is what the last attempt to connect said.
func stateOf(f engine.Finding, said string, attempts int) engine.State {
	s := engine.State{Problem: strings.TrimSpace(said + " " + f.Words), Attempts: attempts}
	if f.Failed {
		s.Failed = f.Words
	}
	return s
}

// Bounds of the guest's answer.
const (
	inquireTimeout = 15 * time.Second
	maxAnswer      = 2 << 10 // bytes
)

// inquire asks the guest now and then, until ctx ends, why the engine doesn't answer. An attempt to connect may take long: systemd
// listens on docker's socket, and lets clients wait.
func (f *Follower[C, R]) inquire(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(f.Patience):
		}
		if _, err := f.Current(); err == nil {
			continue
		}
		target, _ := f.Link.Get()
		if target.Dial == nil {
			continue
		}
		said, err := ask(ctx, target.Dial, engine.ServicesScript(f.Name))
		if err != nil {
			f.Log.Debug("the guest does not say what the engine's services do", "err", err)
			continue
		}
		f.find(engine.FindingOf(said))
	}
}

// find keeps what the guest says, unless the engine has answered meanwhile.
func (f *Follower[C, R]) find(found engine.Finding) {
	f.mu.Lock()
	if f.reason == "" || found == (engine.Finding{}) && f.state.Answers { // it was lost a moment ago
		f.mu.Unlock()
		return
	}
	s := stateOf(found, f.said, f.state.Attempts)
	same := f.state == s
	f.found, f.state = found, s
	f.mu.Unlock()
	if !same {
		f.Changed()
	}
}

// forget forgets why the engine didn't answer.
func (f *Follower[C, R]) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said, f.found = "", engine.Finding{}
}

// ask returns what a command in the guest prints.
func ask(ctx context.Context, dial engine.Dial, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, inquireTimeout)
	defer cancel()
	conn, err := dial(ctx, "exec", command)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	said, err := io.ReadAll(io.LimitReader(conn, maxAnswer))
	return string(said), err
}
