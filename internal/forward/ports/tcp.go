package ports

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/forward"
)

// serveTCP accepts connections until l is closed.
func (fw *forwarding) serveTCP(ctx context.Context, l net.Listener, all *sync.WaitGroup) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // too many open files, or a client that is gone
			logrus.WithError(err).Warnf("a connection to %s could not be accepted", l.Addr())
			pause(ctx, acceptPause)
			continue
		}
		all.Go(func() { fw.forwarder.connect(ctx, fw.want.Load().dial(), conn.(forward.Conn)) })
	}
}

// acceptPause is the time until the next attempt after one that this host has refused.
const acceptPause = 100 * time.Millisecond

// connect connects a client with an address in the guest, until both directions or ctx have ended.
func (f *Forwarder) connect(ctx context.Context, guest string, client forward.Conn) {
	defer client.Close()
	limited, cancel := context.WithTimeout(ctx, f.dialTimeout)
	server, err := f.o.Dial(limited, TCP, guest)
	cancel()
	if err != nil {
		logrus.WithError(err).Debugf("a connection to the guest's %s has failed", guest)
		if c, ok := client.(*net.TCPConn); ok {
			_ = c.SetLinger(0) // the client sees a reset, not an empty answer
		}
		return
	}
	defer context.AfterFunc(ctx, func() {
		_ = client.Close()
		_ = server.Close()
	})()
	forward.Join(client, server)
}
