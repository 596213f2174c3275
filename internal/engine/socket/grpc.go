package socket

import (
	"context"
	"io"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// refuseFor is how long a client's connection gets refusals. Then it connects again, and may find another state.
const refuseFor = 10 * time.Second

// answerGRPC refuses all calls of a client until ctx ends, and for refuseFor at most. Clients of containerd print the message
// after "rpc error: code = Unavailable desc = ".
func answerGRPC(ctx context.Context, c *client, rest io.Reader, message string) {
	ctx, cancel := context.WithTimeout(ctx, refuseFor)
	defer cancel()
	refuse := func(any, grpc.ServerStream) error { return status.Error(codes.Unavailable, message) }
	server := grpc.NewServer(grpc.UnknownServiceHandler(refuse), grpc.ConnectionTimeout(refuseFor))
	conn := &refusedConn{Conn: c.Conn, rest: rest, closed: make(chan struct{})}
	defer context.AfterFunc(ctx, server.GracefulStop)()
	_ = server.Serve(&oneConn{conn: conn, left: 1, closed: make(chan struct{})}) // ends when the connection does
}

// refusedConn is the connection of a client, of which something was read already.
type refusedConn struct {
	net.Conn
	rest   io.Reader
	once   sync.Once
	closed chan struct{}
}

func (c *refusedConn) Read(p []byte) (int, error) { return c.rest.Read(p) }

func (c *refusedConn) Close() error {
	defer c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// oneConn is a listener for one connection. It ends when that is closed.
type oneConn struct {
	conn   *refusedConn
	left   int
	once   sync.Once
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if l.left--; l.left >= 0 {
		return l.conn, nil
	}
	select {
	case <-l.conn.closed:
	case <-l.closed:
	}
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *oneConn) Addr() net.Addr { return l.conn.LocalAddr() }
