package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"time"
)

// client is a client's connection. While the client waits, what it sends is kept, so that its end is noticed.
type client struct {
	net.Conn

	reading chan struct{} // closed when nothing more is read in advance; nil: nothing was
	left    chan struct{} // closed when the client has gone
	early   bytes.Buffer  // read in advance; not to be used before reading is closed
	ended   bool          // after early there is nothing more; as for early
}

func newClient(conn net.Conn) *client { return &client{Conn: conn} }

// maxEarly bounds what is read in advance.
const maxEarly = 64 << 10

// gone returns a channel that is closed when the client has gone. It begins to read in advance.
func (c *client) gone() <-chan struct{} {
	if c.reading == nil {
		c.reading, c.left = make(chan struct{}), make(chan struct{})
		go c.readEarly()
	}
	return c.left
}

func (c *client) readEarly() {
	defer close(c.reading)
	_, err := io.Copy(&c.early, io.LimitReader(c.Conn, maxEarly))
	timeout, ok := errors.AsType[net.Error](err)
	switch {
	case ok && timeout.Timeout(): // see resume
	case err == nil && c.early.Len() == maxEarly:
	case err == nil && c.early.Len() > 0 && !hungUp(c.Conn, true):
		c.ended = true // it will send no more, and waits for the answer
	default:
		close(c.left)
	}
}

// waited reports whether the client has had to wait.
func (c *client) waited() bool { return c.reading != nil }

// resume ends reading in advance. It returns what the client has sent and will send.
func (c *client) resume() io.Reader {
	if c.reading == nil {
		return c.Conn
	}
	_ = c.SetReadDeadline(time.Unix(1, 0))
	<-c.reading
	_ = c.SetReadDeadline(time.Time{})
	if c.ended {
		return &c.early
	}
	return io.MultiReader(&c.early, c.Conn)
}

// splice passes on what each side sends, and that it will send no more, until both have ended. rest is what the client has sent
// and will send.
func splice(c *client, rest io.Reader, guest net.Conn) {
	defer guest.Close()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		pass(guest, rest, c)
		if hungUp(c.Conn, false) { // which is more than that it sends no more
			_ = guest.Close()
		}
	}()
	pass(c, guest, guest)
	<-sent
}

// pass copies what from sends, then says that there is no more. After a failure it closes both sides; closer is the connection of
// from.
func pass(to net.Conn, from io.Reader, closer io.Closer) {
	_, err := io.Copy(to, from)
	if err == nil {
		err = closeWrite(to)
	}
	if err != nil {
		_, _ = to.Close(), closer.Close()
	}
}

// closeWrite says that nothing more will be written.
func closeWrite(conn net.Conn) error {
	if c, ok := conn.(*client); ok {
		conn = c.Conn
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
