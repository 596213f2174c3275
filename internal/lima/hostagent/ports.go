package hostagent

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/forward/ports"
	"rancherdesktop.io/rdd/internal/forward/relay"
	"rancherdesktop.io/rdd/internal/lima/template"
	"rancherdesktop.io/rdd/internal/machine/event"
)

// portRules returns the template's rules for ports. Those for sockets of the guest are Lima's.
func portRules(y *limayaml.LimaYAML) (rules []ports.Rule) {
	for _, r := range template.PortForwards(y) {
		if r.GuestSocket != "" {
			continue
		}
		rules = append(rules, ports.Rule{
			Protocol: r.Proto, GuestIP: ipOf(r.GuestIP), GuestIPMustBeZero: r.GuestIPMustBeZero, GuestPorts: r.GuestPortRange,
			HostIP: ipOf(r.HostIP), HostPorts: r.HostPortRange, HostSocket: r.HostSocket, Ignore: r.Ignore,
		})
	}
	return rules
}

func ipOf(ip net.IP) netip.Addr {
	addr, _ := netip.AddrFromSlice(ip)
	return addr.Unmap()
}

// portReporter reports the forwarded ports, and what doesn't work of them, when they have changed.
type portReporter struct {
	report func(event.Event)
	ports  []event.Port
	said   []string
}

func (r *portReporter) set(all []event.Port, problems []string) {
	for _, changes := range event.PortChanges(r.ports, all) {
		r.report(event.Event{Ports: &changes})
	}
	if !slices.Equal(problems, r.said) {
		r.report(event.Event{Trouble: &event.Trouble{Source: event.FromPorts, Messages: problems}})
	}
	r.ports, r.said = all, problems
}

// newForwarder returns what forwards the guest's ports over client.
func (h *hostagent) newForwarder(client *relay.Client) *ports.Forwarder {
	guest := guestProgram{share: h.o.Share, y: h.config, exec: client.Exec}
	reporter := portReporter{report: h.report}
	return ports.New(ports.Options{
		VM: h.vm, Rules: portRules(h.config), SSHPort: func() int { return int(h.sshPort.Load()) },
		Dial: client.Dial, Datagrams: guest.run, Report: reporter.set,
	})
}

// forwardPorts forwards the guest's ports until ctx ends. A plain VM has no guest agent, and forwards none.
func (h *hostagent) forwardPorts(ctx context.Context, f *ports.Forwarder, client *relay.Client) {
	if *h.config.Plain {
		return
	}
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		followListeners(ctx, func(ctx context.Context) (net.Conn, error) { return client.Dial(ctx, "unix", guestAgentSocket) }, followRetry, f.SetListeners)
	})
	f.Run(ctx)
}
