// Package engine is the container engine of the App's VM as the service sees it: whether it can be reached, what it
// answers, what it has. The App's controller and the service's docker socket use it; one package below it knows each
// engine.
package engine

import (
	"context"
	"net"
	"sync"
)

// Phase is what the engine's VM is doing.
type Phase string

// The phases.
const (
	Stopped  Phase = "Stopped"  // it does not run, and is not about to
	Starting Phase = "Starting" // it is about to run
	Running  Phase = "Running"  // the VM runs: the engine answers, or is about to
)

// The names of the engines, as in the App's spec.containerEngine.name.
const (
	Moby       = "moby"
	Containerd = "containerd"
)

// ContainerdSocket is where containerd listens in the guest.
const ContainerdSocket = "/run/containerd/containerd.sock"

// Dial connects to an address in the guest: network is "unix" or "tcp". The connection has CloseWrite.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Target says which engine there should be, and how to reach it.
type Target struct {
	Phase  Phase
	Reason string // while not Running: a sentence for people that says so, and what to do
	Engine string // Moby or Containerd
	Dial   Dial   // while Running
}

// Link is the current Target. The App's controller sets it; whatever needs the engine follows it. Its zero value is
// ready to use, with the phase Stopped.
type Link struct {
	mu      sync.Mutex
	target  Target
	changed chan struct{}
}

// Set replaces the target.
func (l *Link) Set(t Target) {
	l.mu.Lock()
	defer l.mu.Unlock()
	same := l.target.Phase == t.Phase && l.target.Reason == t.Reason && l.target.Engine == t.Engine
	l.target = t
	if !same && l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// Get returns the target, and a channel that is closed when it has changed.
func (l *Link) Get() (Target, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	t := l.target
	if t.Phase == "" {
		t.Phase = Stopped
	}
	return t, l.changed
}

// State is what is known of the engine.
type State struct {
	Answers    bool   // it answers, and the live view is complete
	Version    string // of the engine, while it answers
	APIVersion string // the newest version of its API, while it answers
	Containers int    // that run
	Problem    string // why it doesn't answer, for people; empty while it answers, and while there was no attempt yet
	Attempts   int    // that have failed since the target changed
	Failed     string // with which last words the guest has given up starting it, for people; empty while it may still come up
}
