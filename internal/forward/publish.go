package forward

import (
	"context"
	"encoding/json"
	"io"
	"reflect"
	"sync"
	"time"

	"rancherdesktop.io/rdd/internal/machine/layout"
)

// Binding is a port that a container publishes.
type Binding struct {
	Protocol  string `json:"protocol"`         // tcp or udp
	HostIP    string `json:"hostIP,omitempty"` // what the container asks for; empty: it names none
	HostPort  int    `json:"hostPort"`
	GuestIP   string `json:"guestIP,omitempty"` // where it can be reached in the guest; empty: every address
	GuestPort int    `json:"guestPort"`
	Container string `json:"container,omitempty"` // its name
}

// Published is the list of ports that containers publish, and the addresses of this host, beside 127.0.0.1 and ::1, on
// which they may.
type Published struct {
	Bindings []Binding `json:"bindings"`
	Allowed  []string  `json:"allowed,omitempty"`
}

// Publisher tells a VM's hostagent which ports containers publish. The hostagent forwards them for as long as the Publisher
// runs, and for some time longer, so that nothing changes when the service restarts.
type Publisher struct {
	vm layout.VM

	retryInterval time.Duration

	mu      sync.Mutex
	now     Published
	set     bool          // Set has been called
	changed chan struct{} // closed when now has changed
}

// NewPublisher returns a Publisher for the containers of a VM.
func NewPublisher(vm layout.VM) *Publisher {
	return &Publisher{vm: vm, retryInterval: time.Second, changed: make(chan struct{})}
}

// Set replaces the list. Until it is called for the first time, nothing is sent: the hostagent keeps what it has.
func (p *Publisher) Set(bindings []Binding, allowed []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := Published{Bindings: bindings, Allowed: allowed}
	if p.set && reflect.DeepEqual(p.now, now) {
		return
	}
	p.now, p.set = now, true
	close(p.changed)
	p.changed = make(chan struct{})
}

// current returns the list, whether there is one, and a channel that is closed when it has changed.
func (p *Publisher) current() (Published, bool, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now, p.set, p.changed
}

// Run keeps the hostagent informed until ctx ends. While no hostagent takes the list, because the VM doesn't run, it tries
// again after a second, and later each 15 s; and whenever the list changes.
func (p *Publisher) Run(ctx context.Context) {
	pause := p.retryInterval
	for ctx.Err() == nil {
		_, _, changed := p.current()
		if p.publish(ctx) {
			pause = p.retryInterval
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-time.After(pause):
			pause = min(2*pause, 15*p.retryInterval)
		}
	}
}

// publish sends the list, and again whenever it changes, over one connection. It returns when that or ctx ends, and
// reports whether there was one.
func (p *Publisher) publish(ctx context.Context) (connected bool) {
	now, set, changed := p.current()
	for !set {
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
		now, set, changed = p.current()
	}
	conn, err := Open(ctx, p.vm, VerbPublish)
	if err != nil {
		return false
	}
	defer conn.Close()
	ended := make(chan struct{})
	go func() { // the hostagent answers each list with a line
		defer close(ended)
		_, _ = io.Copy(io.Discard, conn)
	}()
	for json.NewEncoder(conn).Encode(now) == nil {
		select {
		case <-ctx.Done():
			return true
		case <-ended:
			return true
		case <-changed:
		}
		now, _, changed = p.current()
	}
	return true
}

// VerbPublish is the request of a Publisher. JSON lines follow, each a Published, and each is answered with a line. The
// connection is a lease.
const VerbPublish = "publish"
