// Package ports forwards ports of a guest to this host: those that containers publish, those that the template's
// portForwards name, and all others on which the guest listens. The VM's hostagent runs it. It listens on 127.0.0.1 and
// ::1, on other addresses only if a rule or a container asks for them, and never shares a port with another program.
package ports

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"rancherdesktop.io/rdd/internal/forward"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// Options say what is forwarded, and how the guest is reached.
type Options struct {
	VM      layout.VM
	Rules   []Rule     // in their order
	SSHPort func() int // on this host, of the guest's SSH server; 0: not known yet

	// Dial connects to an address in the guest. It waits until the deadline for a guest that can't be reached now.
	Dial func(ctx context.Context, network, address string) (forward.Conn, error)

	// Datagrams runs rdd-guest, which carries the datagrams of UDP ports, until it or ctx ends; see package datagram.
	Datagrams func(ctx context.Context, in io.Reader, out io.Writer) error

	// Report is called with all forwards that there are or should be, in a stable order, whenever they have changed. The
	// problems are those of them that a person should know of, one sentence or more each.
	Report func(forwards []event.Port, problems []string)
}

// sshPort is the port of the guest's SSH server in the guest.
const sshPort = 22

// Forwarder forwards the ports of one guest.
type Forwarder struct {
	o      Options
	tunnel *tunnel
	holder *holder

	retryInterval time.Duration // until a port that could not be listened on is tried again
	grace         time.Duration // for which the list of a Publisher that has ended is kept
	dialTimeout   time.Duration
	idleTimeout   time.Duration // of a UDP client

	wake chan struct{} // holds a token when sources has changed

	mu      sync.Mutex
	sources sources
	lease   *int // whose list sources.published is; nil when no Publisher is connected

	// Only Run's goroutine uses these.
	forwards map[key]*forwarding
	reported []event.Port
	said     []string
}

// New returns a Forwarder.
func New(o Options) *Forwarder {
	return &Forwarder{
		o: o, tunnel: newTunnel(o.Datagrams), holder: newHolder(o.VM), wake: make(chan struct{}, 1),
		sources:       sources{rules: o.Rules},
		forwards:      map[key]*forwarding{},
		retryInterval: 3 * time.Second, grace: time.Minute, dialTimeout: 30 * time.Second, idleTimeout: 90 * time.Second,
	}
}

// SetListeners says what listens in the guest.
func (f *Forwarder) SetListeners(all []Listener) {
	f.update(func() { f.sources.listeners = all })
}

// update changes sources, and has Run look at them.
func (f *Forwarder) update(change func()) {
	f.mu.Lock()
	change()
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Run forwards until ctx ends. When it returns, nothing listens any more, and all connections have ended.
func (f *Forwarder) Run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all.Go(func() { f.tunnel.run(ctx) })
	defer func() {
		for _, fw := range f.forwards {
			fw.close()
		}
	}()
	retry := time.NewTimer(f.retryInterval)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		case <-retry.C:
		}
		if f.apply(ctx, &all) {
			retry.Reset(f.retryInterval)
		}
	}
}

// apply makes the forwards what they should be, and reports them. It returns true when some are to be tried again.
func (f *Forwarder) apply(ctx context.Context, all *sync.WaitGroup) (again bool) {
	f.mu.Lock()
	f.sources.ssh = []int{sshPort, f.o.SSHPort()}
	wanted := f.sources.wanted()
	f.mu.Unlock()
	kept := make(map[key]bool, len(wanted))
	for _, w := range wanted {
		kept[w.key] = true
	}
	for k, fw := range f.forwards {
		if !kept[k] {
			fw.close()
			delete(f.forwards, k)
		}
	}
	for _, w := range wanted {
		fw := f.forwards[w.key]
		if fw == nil {
			fw = &forwarding{forwarder: f}
			f.forwards[w.key] = fw
		}
		fw.want.Store(&w)
		switch {
		case w.refused != "":
			fw.close()
		case fw.socket == nil:
			fw.listen(ctx, all)
			again = again || fw.socket == nil
		}
	}
	f.report(ctx, wanted)
	return again
}

// report reports the forwards if they have changed.
func (f *Forwarder) report(ctx context.Context, wanted []want) {
	var list []event.Port
	var problems troubles
	f.holder.forget()
	for _, w := range wanted {
		port, problem := f.forwards[w.key].describe(ctx)
		if port.State == "" {
			continue
		}
		list = append(list, port)
		if problem {
			problems.add(subject(&w), port)
		}
	}
	said := problems.sentences()
	if ctx.Err() != nil || slices.Equal(list, f.reported) && slices.Equal(said, f.said) {
		return
	}
	f.reported, f.said = list, said
	f.o.Report(list, said)
}

// trouble is why a port can't be reached on some addresses of this host.
type trouble struct {
	subject, reason string
	addresses       []string
}

// troubles tell each reason once, although most ports are wanted on 127.0.0.1 and on ::1.
type troubles []trouble

func (all *troubles) add(subject string, p event.Port) {
	i := slices.IndexFunc(*all, func(t trouble) bool { return t.subject == subject && t.reason == p.Message })
	if i < 0 {
		i = len(*all)
		*all = append(*all, trouble{subject: subject, reason: p.Message})
	}
	(*all)[i].addresses = append((*all)[i].addresses, p.HostAddress)
}

func (all troubles) sentences() (lines []string) {
	for _, t := range all {
		lines = append(lines, fmt.Sprintf("%s can't be reached on this host at %s: %s", t.subject, strings.Join(t.addresses, " and "), t.reason))
	}
	return lines
}

// publish replaces what containers publish, on behalf of a Publisher that lease identifies.
func (f *Forwarder) publish(lease *int, p forward.Published) {
	f.update(func() { f.lease, f.sources.published = lease, p })
}

// end ends a lease: unless another has come meanwhile or comes in time, its list is dropped.
func (f *Forwarder) end(ctx context.Context, lease *int) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(f.grace):
	}
	f.update(func() {
		if f.lease == lease {
			f.lease, f.sources.published = nil, forward.Published{}
		}
	})
}
