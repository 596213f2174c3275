// Package enginetest has what the tests of the engines share: a guest, an engine's own program, and requests as clients send them.
package enginetest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/engine/mirror"
	"rancherdesktop.io/rdd/internal/forward"
	"rancherdesktop.io/rdd/internal/testenv"
)

// Guest is the way to an engine: a Dial whose connections can be cut.
type Guest struct {
	Tools string // a folder with programs for commands in the guest

	socket string
	mu     sync.Mutex
	conns  []net.Conn
	down   bool
}

// NewGuest returns a Guest with an engine that listens on a socket.
func NewGuest(t *testing.T, socket string) *Guest {
	t.Helper()
	g := &Guest{Tools: t.TempDir(), socket: socket}
	if err := os.WriteFile(filepath.Join(g.Tools, "sudo"), []byte("#!/bin/sh\nshift\nexec \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return g
}

// Dial is an engine.Dial.
func (g *Guest) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.down {
		return nil, fmt.Errorf("%w: the test has cut it", forward.ErrNotConnected)
	}
	if network == "exec" {
		return g.exec(address)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", g.socket)
	if err == nil {
		g.conns = append(g.conns, conn)
	}
	return conn, err
}

// exec runs a command as the hostagent does in the guest.
func (g *Guest) exec(command string) (net.Conn, error) {
	if strings.Contains(command, "\n") {
		return nil, fmt.Errorf("a request is one line: %q", command)
	}
	cmd := exec.Command("sh", "-c", strings.ReplaceAll(command, engine.NerdctlFolder, g.Tools+"/nerdctl"))
	cmd.Env = append(os.Environ(), "PATH="+g.Tools+":"+os.Getenv("PATH"))
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &execConn{in: in, out: out, cmd: cmd}, nil
}

// execConn is the standard input and output of a command.
type execConn struct {
	net.Conn
	in   io.WriteCloser
	out  io.Reader
	cmd  *exec.Cmd
	once sync.Once
}

func (c *execConn) Read(p []byte) (int, error)  { return c.out.Read(p) }
func (c *execConn) Write(p []byte) (int, error) { return c.in.Write(p) }
func (c *execConn) CloseWrite() error           { return c.in.Close() }
func (c *execConn) Close() error {
	c.once.Do(func() {
		_ = c.in.Close()
		_ = c.cmd.Process.Kill()
		go func() { _ = c.cmd.Wait() }()
	})
	return nil
}

// Cut ends all connections, and lets no new one begin while down.
func (g *Guest) Cut(down bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.conns {
		_ = c.Close()
	}
	g.conns, g.down = nil, down
}

// Options are for an engine of a name in a running guest.
func (g *Guest) Options(t *testing.T, name string) mirror.Options {
	link := &engine.Link{}
	link.Set(engine.Target{Phase: engine.Running, Engine: name, Dial: g.Dial})
	return mirror.Options{Link: link, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))}
}

// Run runs an engine until the test ends.
func Run(t *testing.T, e interface {
	Run(ctx context.Context) error
}) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = e.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(testenv.Timeout):
			t.Error("Run does not end")
		}
	})
}
