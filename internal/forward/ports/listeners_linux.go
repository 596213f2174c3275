package ports

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"

	"github.com/prometheus/procfs"
)

// The state of a socket that listens, for each protocol. Source: proc_net_tcp.rst of Linux.
const (
	tcpListens = 0x0A
	udpListens = 0x07
)

// sockets lists what listens on this host. (gopsutil lists only one of two sockets that share an address.)
func sockets(context.Context) ([]socket, error) {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return nil, err
	}
	tcp4, e1 := proc.NetTCP()  //nolint:staticcheck // it is slow for thousands of sockets; netlink would be another dependency
	tcp6, e2 := proc.NetTCP6() //nolint:staticcheck // the same
	udp4, e3 := proc.NetUDP()
	udp6, e4 := proc.NetUDP6()
	for _, err := range []error{e1, e2, e3, e4} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // it doesn't exist without IPv6
			return nil, err
		}
	}
	var all []socket
	add := func(protocol string, listens uint64, lines procfs.NetIPSocket) {
		for _, s := range lines {
			if ip, ok := netip.AddrFromSlice(s.LocalAddr); ok && s.St == listens {
				all = append(all, socket{protocol: protocol, at: netip.AddrPortFrom(ip.Unmap(), uint16(s.LocalPort)), name: fmt.Sprintf("socket:[%d]", s.Inode)})
			}
		}
	}
	add(TCP, tcpListens, procfs.NetIPSocket(tcp4))
	add(TCP, tcpListens, procfs.NetIPSocket(tcp6))
	add(UDP, udpListens, procfs.NetIPSocket(udp4))
	add(UDP, udpListens, procfs.NetIPSocket(udp6))
	return all, nil
}

// processOf finds the process that has a socket; 0 if we may not see it.
func processOf(name string) int {
	all, _ := procfs.AllProcs()
	for _, p := range all {
		if files, err := p.FileDescriptorTargets(); err == nil && slices.Contains(files, name) {
			return p.PID
		}
	}
	return 0
}
