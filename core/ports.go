package core

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
)

// DescribePorts returns a line for each port of a guest, such as "127.0.0.1:8080, [::1]:8080 -> 80/tcp (container web)".
// Addresses to which the same applies share a line.
func DescribePorts(ports []v1alpha1.Port) (lines []string) {
	type group struct {
		port  v1alpha1.Port // without HostAddress
		hosts []string
	}
	var groups []*group
	for _, p := range ports {
		host := p.HostAddress
		p.HostAddress = ""
		i := slices.IndexFunc(groups, func(g *group) bool { return g.port == p && portOf(g.hosts[0]) == portOf(host) })
		if i < 0 {
			groups = append(groups, &group{port: p})
			i = len(groups) - 1
		}
		groups[i].hosts = append(groups[i].hosts, host)
	}
	for _, g := range groups {
		line := fmt.Sprintf("%s -> %s/%s", strings.Join(g.hosts, ", "), cmp.Or(portOf(g.port.GuestAddress), g.port.GuestAddress), g.port.Protocol)
		if g.port.Container != "" {
			line += fmt.Sprintf(" (container %s)", g.port.Container)
		}
		switch g.port.State {
		case v1alpha1.PortForwarded:
		case v1alpha1.PortBusy:
			line += ": busy: " + g.port.Message
		case v1alpha1.PortNotPermitted:
			line += ": not permitted: " + g.port.Message
		default:
			line += ": " + string(g.port.State)
		}
		lines = append(lines, line)
	}
	return lines
}

// portOf returns the port of an address; empty for a socket.
func portOf(address string) string {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return ""
	}
	return fmt.Sprint(at.Port())
}
