package relay

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/crypto/ssh"
)

// conn is a connection to an address in the guest: an SSH channel.
type conn struct {
	ssh.Channel
	link   *link
	remote addr
	ended  chan struct{}
}

// addr is an address in the guest.
type addr struct{ network, address string }

func (a addr) Network() string { return a.network }
func (a addr) String() string  { return a.address }

// follow waits for the end of the channel, and releases the link.
func (c *conn) follow(requests <-chan *ssh.Request) {
	ssh.DiscardRequests(requests)
	close(c.ended)
	c.link.release()
}

// Ended is closed when the guest has closed the connection altogether.
func (c *conn) Ended() <-chan struct{} { return c.ended }

// Read reads what the guest sends. It ends with io.EOF only if the guest has ended it.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Channel.Read(b)
	if errors.Is(err, io.EOF) && c.link.conn.broken.Load() {
		err = errLost
	}
	return n, err
}

// Close may be called more than once.
func (c *conn) Close() error {
	_ = c.Channel.Close() // it may be closed already, from either side
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return addr{c.remote.network, ""} }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// SSH channels have no deadlines.
func (c *conn) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (c *conn) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (c *conn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }
