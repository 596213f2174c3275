package hostagent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/prometheus/procfs"
)

// The state of a socket that listens, for each protocol. Source: proc_net_tcp.rst of Linux.
const (
	tcpListens = 0x0A
	udpListens = 0x07
)

// listeners lists what listens on this host. It names the process only for our own sockets. (gopsutil lists only one
// of two sockets that share an address.)
func listeners(context.Context) ([]listener, error) {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return nil, err
	}
	self, err := proc.Self()
	if err != nil {
		return nil, err
	}
	ours, err := self.FileDescriptorTargets()
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
	var all []listener
	add := func(protocol string, listens uint64, sockets procfs.NetIPSocket) {
		for _, s := range sockets {
			if s.St != listens {
				continue
			}
			l := listener{protocol: protocol, ip: s.LocalAddr.String(), port: int(s.LocalPort), socket: fmt.Sprintf("socket:[%d]", s.Inode)}
			if slices.Contains(ours, l.socket) {
				l.pid = os.Getpid()
			}
			all = append(all, l)
		}
	}
	add("tcp", tcpListens, procfs.NetIPSocket(slices.Concat(tcp4, tcp6)))
	add("udp", udpListens, procfs.NetIPSocket(slices.Concat(udp4, udp6)))
	return all, nil
}

// processOf finds the process that has a socket; 0 if we may not see it.
func processOf(socket string) int {
	all, _ := procfs.AllProcs()
	for _, p := range all {
		if files, err := p.FileDescriptorTargets(); err == nil && slices.Contains(files, socket) {
			return p.PID
		}
	}
	return 0
}
