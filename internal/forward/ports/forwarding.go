package ports

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/machine/event"
)

// forwarding is one forward: what is wanted, and the socket on this host, if there is one.
type forwarding struct {
	forwarder *Forwarder
	want      atomic.Pointer[want] // changes when a container takes over from a listener

	socket io.Closer // nil while nothing listens
	err    error     // why nothing does
}

// close stops listening. Connections of a TCP port go on; clients of a UDP port have none.
func (fw *forwarding) close() {
	if fw.socket != nil {
		_ = fw.socket.Close()
	}
	fw.socket, fw.err = nil, nil
}

// listen tries to listen.
func (fw *forwarding) listen(ctx context.Context, all *sync.WaitGroup) {
	w := fw.want.Load()
	var serve func()
	if w.protocol == UDP {
		var conn *net.UDPConn
		if conn, fw.err = listenUDP(w.host); fw.err == nil {
			fw.socket, serve = conn, func() { fw.serveUDP(ctx, conn) }
		}
	} else {
		var l net.Listener
		if l, fw.err = listenTCP(ctx, w.host); fw.err == nil {
			fw.socket, serve = l, func() { fw.serveTCP(ctx, l, all) }
		}
	}
	if fw.err != nil {
		return
	}
	logrus.Infof("forwarding %s %s to the guest's %s", w.protocol, w.host, w.guest)
	all.Go(serve)
}

// listenTCP listens on an address of this host, or makes a socket. Go sets SO_REUSEADDR where that only lets a port be used
// again at once, and never SO_REUSEPORT: a port that another program has is an error.
func listenTCP(ctx context.Context, host address) (net.Listener, error) {
	var config net.ListenConfig
	if host.socket == "" {
		return config.Listen(ctx, network(TCP, host), host.String())
	}
	if err := os.MkdirAll(filepath.Dir(host.socket), 0o700); err != nil {
		return nil, err
	}
	if info, err := os.Lstat(host.socket); err == nil && info.Mode().Type() == os.ModeSocket {
		_ = os.Remove(host.socket) // of an earlier run; a socket of the template's is in the VM's own directory
	}
	l, err := config.Listen(ctx, "unix", host.socket)
	if err == nil {
		err = os.Chmod(host.socket, 0o600)
	}
	return l, err
}

func listenUDP(host address) (*net.UDPConn, error) {
	return net.ListenUDP(network(UDP, host), net.UDPAddrFromAddrPort(host.AddrPort))
}

// network is Go's name for one protocol and one family of addresses: a socket for ::1 or :: gets no IPv4.
func network(protocol string, host address) string {
	if host.Addr().Is4() {
		return protocol + "4"
	}
	return protocol + "6"
}

// describe says how the forward is, and whether a person should know of it. The port's state is empty when there is nothing to
// say about it.
func (fw *forwarding) describe(ctx context.Context) (p event.Port, problem bool) {
	w := fw.want.Load()
	p = event.Port{Protocol: w.protocol, HostAddress: w.host.String(), GuestAddress: w.guest.String(), Container: w.container}
	missing := errors.Is(fw.err, syscall.EADDRNOTAVAIL) || errors.Is(fw.err, syscall.EAFNOSUPPORT)
	switch {
	case w.refused != "":
		p.State, p.Message = event.PortNotPermitted, w.refused
		return p, false
	case fw.socket != nil:
		p.State = event.PortForwarded
		return p, false
	case fw.err == nil, missing && w.optional, !w.asked && w.protocol == UDP:
		// IPv6 is off; or nobody has asked for it, and it may be no server's.
		return event.Port{}, false
	case missing:
		p.State, p.Message = event.PortNotPermitted, "this computer has no address "+w.host.Addr().String()
	case errors.Is(fw.err, os.ErrPermission):
		p.State, p.Message = event.PortNotPermitted, notPermitted(w.host)
	default:
		p.State, p.Message = event.PortBusy, fw.forwarder.holder.inUse(ctx, w, fw.err)
	}
	return p, true
}

// subject names the port of a forward.
func subject(w *want) string {
	s := fmt.Sprintf("port %d of the guest", w.guest.Port())
	if w.container != "" {
		s = fmt.Sprintf("port %d of the container %q", w.host.Port(), w.container)
	}
	if w.protocol == UDP {
		return "UDP " + s
	}
	return s
}

// notPermitted says what to do about a port that only privileged programs may have.
func notPermitted(host address) string {
	const choose = "choose a port from 1024 on"
	if runtime.GOOS == "linux" {
		return fmt.Sprintf("this system reserves ports below 1024: %s, or allow it: sudo sysctl net.ipv4.ip_unprivileged_port_start=%d", choose, host.Port())
	}
	return "this system reserves ports below 1024: " + choose
}
