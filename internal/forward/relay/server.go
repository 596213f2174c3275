package relay

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/forward"
)

// Handler serves one request. It answers with forward.Accept or forward.Refuse first. The connection is closed when it
// returns; ctx ends with the server, and while nothing is accepted yet also with the other side.
type Handler func(ctx context.Context, args string, conn forward.Conn)

// Server serves a VM's forward socket.
type Server struct {
	Path    string
	Verbs   map[string]Handler
	Problem func(error) // told why the socket can't be made; nil says that it is there again

	look, retry time.Duration // how often the socket is looked for, and how often it is tried to make it; 0: the usual
}

// requestTimeout bounds the wait for a request.
const requestTimeout = 10 * time.Second

// The usual intervals. Other programs may remove the socket.
const (
	lookInterval  = 30 * time.Second
	retryInterval = 5 * time.Second
)

// Run serves until ctx ends. Then it ends all connections and removes the socket. The caller holds the VM's lock, so that
// a socket that is there is not in use.
func (s *Server) Run(ctx context.Context) {
	var conns sync.WaitGroup
	defer conns.Wait()
	failed := ""
	for ctx.Err() == nil {
		l, err := listen(s.Path)
		if err != nil {
			if failed != err.Error() {
				failed = err.Error()
				logrus.WithError(err).Error("the forward socket can't be made; retrying")
				s.Problem(err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(cmp.Or(s.retry, retryInterval)):
			}
			continue
		}
		if failed != "" {
			failed = ""
			s.Problem(nil)
		}
		s.listening(ctx, l, &conns)
	}
}

// listening serves one socket until ctx ends or the socket is gone.
func (s *Server) listening(ctx context.Context, l net.Listener, conns *sync.WaitGroup) {
	defer l.Close()
	there, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(there, func() { _ = l.Close() })()
	go s.endWithout(there, cancel)
	s.accept(ctx, l, conns)
}

// endWithout calls cancel when the socket is gone.
func (s *Server) endWithout(ctx context.Context, cancel func()) {
	look := time.NewTicker(cmp.Or(s.look, lookInterval))
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		if _, err := os.Lstat(s.Path); errors.Is(err, fs.ErrNotExist) {
			logrus.Warnf("the socket %s was removed by another program; it is made again", s.Path)
			cancel()
			return
		}
	}
}

// listen makes the socket. Only this user may connect, from the beginning: the directory is the user's alone, too.
func listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := removeSocket(path); err != nil {
		return nil, err
	}
	l, err := (&net.ListenConfig{Control: private}).Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// removeSocket removes what an earlier run has left.
func removeSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir() || info.Mode().IsRegular() && info.Size() > 0:
		return fmt.Errorf("%s is in the place of RDD's socket: move it away", path)
	}
	return os.Remove(path)
}

// accept serves connections until the listener is closed.
func (s *Server) accept(ctx context.Context, l net.Listener, conns *sync.WaitGroup) {
	for {
		c, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // too many files, for instance
			logrus.WithError(err).Warn("a connection to the forward socket could not be accepted")
			select {
			case <-ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		conns.Go(func() { s.serve(ctx, c) })
	}
}

// serve serves one connection.
func (s *Server) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_ = conn.SetReadDeadline(time.Now().Add(requestTimeout))
	c := &client{UnixConn: conn.(*net.UnixConn), r: bufio.NewReader(conn)}
	verb, args, err := forward.ReadRequest(c.r)
	if err != nil {
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	handler := s.Verbs[verb]
	if handler == nil {
		_ = forward.Refuse(c, fmt.Errorf("%w %q", forward.ErrUnknown, verb))
		return
	}
	handler(ctx, args, c)
}

// client is a connection from the forward socket.
type client struct {
	*net.UnixConn
	r *bufio.Reader // may have read ahead
}

func (c *client) Read(b []byte) (int, error) {
	if c.r.Buffered() == 0 {
		return c.UnixConn.Read(b)
	}
	return c.r.Read(b)
}

// ServeDial serves the verb dial.
func (c *Client) ServeDial(ctx context.Context, args string, conn forward.Conn) {
	network, address, _ := strings.Cut(args, " ")
	guest, err := c.dialFor(ctx, conn, network, address)
	if err != nil {
		_ = forward.Refuse(conn, err)
		return
	}
	defer guest.Close()
	if forward.Accept(conn) == nil {
		defer context.AfterFunc(ctx, func() { _ = guest.Close() })()
		forward.Join(conn, guest)
	}
}

// dialFor dials while the other side waits.
func (c *Client) dialFor(ctx context.Context, conn forward.Conn, network, address string) (forward.Conn, error) {
	if waiting, ok := conn.(*client); ok {
		var cancel func()
		ctx, cancel = waiting.whileOpen(ctx)
		defer cancel()
	}
	return c.Dial(ctx, network, address)
}

// whileOpen returns a context that ends with the connection. It must be ended before the connection is read.
func (c *client) whileOpen(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if _, err := c.r.Peek(1); err != nil {
			cancel()
		}
	}()
	return ctx, func() {
		_ = c.SetReadDeadline(time.Unix(1, 0))
		<-gone
		_ = c.SetReadDeadline(time.Time{})
		cancel()
	}
}
