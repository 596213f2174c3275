package server

import (
	"context"
	"slices"
	"sync"

	"rancherdesktop.io/rdd/internal/forward"
)

// publishing joins what the engine and the App say about ports: which ones containers publish, and on which addresses they may.
// It tells the VM's hostagent once both are known.
type publishing struct {
	to publisher

	mu             sync.Mutex
	bindings       []forward.Binding
	allowed        []string
	asked, decided bool
}

// publisher tells a VM's hostagent. *forward.Publisher is one.
type publisher interface {
	Set(bindings []forward.Binding, allowed []string)
	Run(ctx context.Context)
}

// publish is told which ports containers publish.
func (p *publishing) publish(bindings []forward.Binding) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bindings, p.asked = bindings, true
	p.tell()
}

// allow is told on which addresses, beside 127.0.0.1 and ::1, ports may be published.
func (p *publishing) allow(addresses []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.decided && slices.Equal(p.allowed, addresses) {
		return
	}
	p.allowed, p.decided = slices.Clone(addresses), true
	p.tell()
}

func (p *publishing) tell() {
	if p.asked && p.decided {
		p.to.Set(p.bindings, p.allowed)
	}
}
