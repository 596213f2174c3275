package relay

import (
	"net"
	"sync/atomic"
)

// wire is the TCP connection below a link. It knows whether the guest sends anything, and when the connection is
// broken, before the SSH channels over it seem to have ended.
type wire struct {
	net.Conn
	greeted  func() // called when the server answers
	received atomic.Int64
	broken   atomic.Bool
}

// Read is called by the SSH client only.
func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if n > 0 {
		w.received.Add(int64(n))
		w.greeted()
	}
	if err != nil {
		w.broken.Store(true)
	}
	return n, err
}
