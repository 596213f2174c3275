package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"

	"rancherdesktop.io/rdd/internal/forward"
)

// Dial connects to an address in the guest; network is "unix" or "tcp". It waits for a connection to the guest, and tries
// again when that is lost meanwhile, until the deadline of ctx, or for forward.DialTimeout. The error wraps
// forward.ErrNotConnected or forward.ErrRefused. Deadlines can't be set on the connection.
//
// With the network "exec", the address is a command of the guest's shell, and the connection is its input and output. How
// it ended is not told, and what it writes to its error output is lost.
func (c *Client) Dial(ctx context.Context, network, address string) (forward.Conn, error) {
	if network == "exec" {
		return c.dialCommand(ctx, address)
	}
	kind, payload, err := destination(network, address)
	if err != nil {
		return nil, err
	}
	conn, err := c.open(ctx, kind, payload)
	if refused, ok := errors.AsType[*ssh.OpenChannelError](err); ok {
		return nil, fmt.Errorf("%w: %s: %s", forward.ErrRefused, address, refusal(refused))
	}
	if err != nil {
		return nil, err
	}
	conn.remote = addr{network, address}
	return conn, nil
}

// dialCommand starts a command and connects to it. Source: section 6.5 of RFC 4254.
func (c *Client) dialCommand(ctx context.Context, command string) (forward.Conn, error) {
	ctx, cancel := withTimeout(ctx, c.t.dial)
	defer cancel()
	conn, err := c.open(ctx, "session", nil)
	if err != nil {
		return nil, err
	}
	conn.remote = addr{"exec", command}
	go func() { _, _ = io.Copy(io.Discard, conn.Stderr()) }() // unread, it would hold up the command
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	started, err := conn.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{command}))
	switch {
	case !stop():
		return nil, ctx.Err()
	case err != nil:
		_ = conn.Close()
		return nil, fmt.Errorf("%w: %w", forward.ErrNotConnected, err)
	case !started:
		_ = conn.Close()
		return nil, fmt.Errorf("%w: the guest's SSH server runs no commands", forward.ErrRefused)
	}
	return conn, nil
}

// refusal is what a refusal means.
func refusal(e *ssh.OpenChannelError) string {
	switch e.Reason {
	case ssh.ConnectionFailed:
		return "nothing listens there, or the guest's user may not use it"
	case ssh.Prohibited:
		return "the guest's SSH server does not permit it: " + e.Message
	}
	return e.Message
}

// open opens an SSH channel.
func (c *Client) open(ctx context.Context, kind string, payload []byte) (*conn, error) {
	ctx, cancel := withTimeout(ctx, c.t.dial)
	defer cancel()
	for {
		l, err := c.acquire(ctx)
		if err != nil {
			return nil, err
		}
		conn, err := l.open(ctx, kind, payload)
		_, refused := errors.AsType[*ssh.OpenChannelError](err)
		switch {
		case errors.Is(err, errLost):
			c.drop(l)
		case refused && c.stale(l) && ctx.Err() == nil:
			c.replace(ctx, l)
			if ctx.Err() != nil {
				return nil, err
			}
		default:
			return conn, err
		}
	}
}

// withTimeout bounds a context that has no deadline.
func withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}

// destination returns the kind of an SSH channel to an address, and its payload. Sources: section 2.4 of OpenSSH's
// PROTOCOL, section 7.2 of RFC 4254.
func destination(network, address string) (kind string, payload []byte, err error) {
	switch network {
	case "unix":
		return "direct-streamlocal@openssh.com", ssh.Marshal(struct {
			Path, Reserved string
			Reserved2      uint32
		}{Path: address}), nil
	case "tcp":
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return "", nil, err
		}
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return "", nil, fmt.Errorf("port %q is not a number below 65536", port)
		}
		return "direct-tcpip", ssh.Marshal(struct {
			Host   string
			Port   uint32
			Origin string
			From   uint32
		}{host, uint32(number), "127.0.0.1", 0}), nil
	}
	return "", nil, fmt.Errorf("%w: a network is unix or tcp, not %q", forward.ErrUnknown, network)
}

// Exec runs a command in the guest until it ends, or ctx does. stdin and stderr may be nil. The error wraps an
// *ssh.ExitError when the command fails.
func (c *Client) Exec(ctx context.Context, command string, stdin io.Reader, stdout, stderr io.Writer) error {
	s, done, err := c.session(ctx)
	if err != nil {
		return fmt.Errorf("run a command in the guest: %w", err)
	}
	defer done()
	s.Stdin, s.Stdout, s.Stderr = stdin, stdout, stderr
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	err = s.Run(command)
	if !stop() {
		return ctx.Err()
	}
	return err
}

// session begins an SSH session.
func (c *Client) session(ctx context.Context) (s *ssh.Session, done func(), err error) {
	limited, cancel := withTimeout(ctx, c.t.dial)
	defer cancel()
	for {
		l, err := c.acquire(limited)
		if err != nil {
			return nil, nil, err
		}
		s, err := ask(limited, l, l.client.NewSession, func(s *ssh.Session) { _ = s.Close() })
		if err == nil {
			return s, func() { _ = s.Close(); l.release() }, nil
		}
		l.release()
		if !errors.Is(err, errLost) {
			return nil, nil, err
		}
		c.drop(l)
	}
}
