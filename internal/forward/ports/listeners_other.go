//go:build !linux

package ports

import (
	"context"
	"net/netip"

	"github.com/shirou/gopsutil/v4/net"
)

const datagrams = 2 // SOCK_DGRAM

// sockets lists what listens on this host. Of two that share an address only one is listed.
func sockets(ctx context.Context) ([]socket, error) {
	conns, err := net.ConnectionsWithContext(ctx, "inet")
	if err != nil {
		return nil, err
	}
	var all []socket
	for _, c := range conns {
		ip, err := netip.ParseAddr(c.Laddr.IP)
		if err != nil { // lsof prints * for every address
			ip = netip.IPv4Unspecified()
		}
		s := socket{protocol: TCP, at: netip.AddrPortFrom(ip, uint16(c.Laddr.Port)), pid: int(c.Pid)}
		switch {
		case c.Type == datagrams:
			s.protocol = UDP
		case c.Status != "LISTEN":
			continue
		}
		all = append(all, s)
	}
	return all, nil
}

func processOf(string) int { return 0 }
