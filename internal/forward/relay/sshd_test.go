package relay

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"rancherdesktop.io/rdd/internal/forward"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/testenv"
)

// sshd is an SSH server that connects to real addresses, as a guest's does. It logs in the key of its keyFile.
type sshd struct {
	t       testing.TB
	address string
	keyFile string
	config  *ssh.ServerConfig
	logins  atomic.Int32
	refuses atomic.Bool // logins that begin now may not connect to anything

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool // whether nothing is answered on it
	frozen   bool              // whether this will be so for new ones
	thawed   *sync.Cond
}

func newSigner(tb testing.TB) (ssh.Signer, []byte) {
	tb.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		tb.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}

func newSSHD(tb testing.TB) *sshd {
	tb.Helper()
	user, file := newSigner(tb)
	host, _ := newSigner(tb)
	s := &sshd{t: tb, keyFile: filepath.Join(tb.TempDir(), "user"), conns: map[net.Conn]bool{}}
	s.thawed = sync.NewCond(&s.mu)
	s.config = &ssh.ServerConfig{PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if c.User() != "rdd" || string(key.Marshal()) != string(user.PublicKey().Marshal()) {
			return nil, errors.New("another user")
		}
		s.logins.Add(1)
		return nil, nil
	}}
	s.config.AddHostKey(host)
	if err := os.WriteFile(s.keyFile, file, 0o600); err != nil {
		tb.Fatal(err)
	}
	s.listen("127.0.0.1:0")
	tb.Cleanup(s.stop)
	return s
}

// listen starts the server.
func (s *sshd) listen(address string) {
	s.t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.listener, s.address = l, l.Addr().String()
	s.mu.Unlock()
	go func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[raw] = s.frozen
			s.mu.Unlock()
			go s.serve(&freezing{raw, s})
		}
	}()
}

// stop ends the server and all connections to it.
func (s *sshd) stop() {
	s.mu.Lock()
	_ = s.listener.Close()
	s.mu.Unlock()
	s.thaw()
	s.hangUp()
}

// hangUp ends all connections, as when the guest's processes are killed.
func (s *sshd) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
	}
	clear(s.conns)
}

// freezeConns makes the server answer nothing on the connections that there are.
func (s *sshd) freezeConns() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		s.conns[c] = true
	}
}

// freeze makes the server accept connections and answer nothing at all, as when the guest is paused.
func (s *sshd) freeze() {
	s.freezeConns()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = true
}

func (s *sshd) thaw() {
	s.mu.Lock()
	s.frozen = false
	for c := range s.conns {
		s.conns[c] = false
	}
	s.mu.Unlock()
	s.thawed.Broadcast()
}

// freezing is a connection that is not read while the server is frozen.
type freezing struct {
	net.Conn
	s *sshd
}

func (f *freezing) wait() {
	f.s.mu.Lock()
	for f.s.conns[f.Conn] {
		f.s.thawed.Wait()
	}
	f.s.mu.Unlock()
}

func (f *freezing) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	f.wait()
	return n, err
}

func (f *freezing) Write(b []byte) (int, error) {
	f.wait()
	return f.Conn.Write(b)
}

func (s *sshd) serve(raw net.Conn) {
	raw.(*freezing).wait()
	refuses := s.refuses.Load()
	_, channels, requests, err := ssh.NewServerConn(raw, s.config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		if refuses {
			_ = c.Reject(ssh.ConnectionFailed, "open failed")
			continue
		}
		switch c.ChannelType() {
		case "session":
			go session(c)
		case "direct-streamlocal@openssh.com":
			var to struct {
				Path, Reserved string
				Reserved2      uint32
			}
			if err := ssh.Unmarshal(c.ExtraData(), &to); err != nil {
				s.t.Error(err)
			}
			go s.connect(c, "unix", to.Path)
		case "direct-tcpip":
			var to struct {
				Host   string
				Port   uint32
				Origin string
				From   uint32
			}
			if err := ssh.Unmarshal(c.ExtraData(), &to); err != nil {
				s.t.Error(err)
			}
			go s.connect(c, "tcp", net.JoinHostPort(to.Host, fmt.Sprint(to.Port)))
		default:
			_ = c.Reject(ssh.UnknownChannelType, "")
		}
	}
}

// connect serves a channel as OpenSSH does, which also answers a refusal like this.
func (s *sshd) connect(c ssh.NewChannel, network, address string) {
	to, err := net.Dial(network, address)
	if err != nil {
		_ = c.Reject(ssh.ConnectionFailed, "open failed")
		return
	}
	channel, requests, err := c.Accept()
	if err != nil {
		_ = to.Close()
		return
	}
	go ssh.DiscardRequests(requests)
	forward.Join(to.(forward.Conn), &conn{Channel: channel, link: &link{conn: new(wire)}})
}

// session runs cat, or fails.
func session(c ssh.NewChannel) {
	channel, requests, err := c.Accept()
	if err != nil {
		return
	}
	for r := range requests {
		_ = r.Reply(r.Type == "exec", nil)
		if r.Type != "exec" {
			continue
		}
		go func() {
			status := byte(0)
			if string(r.Payload[4:]) == "cat" {
				_, _ = io.Copy(channel, channel)
			} else {
				_, _ = io.WriteString(channel.Stderr(), "no such command")
				status = 127
			}
			_, _ = channel.SendRequest("exit-status", false, []byte{0, 0, 0, status})
			_ = channel.Close()
		}()
	}
}

// guest is a VM whose forward socket is served, with an SSH server for its guest.
type guest struct {
	*sshd
	vm       layout.VM
	client   *Client
	problems chan error
}

// impatient makes a client notice quickly that a guest is silent.
func impatient(c *Client) {
	c.t.keepalive, c.t.silence, c.t.unanswered, c.t.abandon = 50*time.Millisecond, 100*time.Millisecond, 10*time.Millisecond, time.Hour
}

func newGuest(tb testing.TB, change ...func(*Client)) *guest {
	tb.Helper()
	g := &guest{sshd: newSSHD(tb), vm: newVM(tb), problems: make(chan error, 1000)}
	g.client = NewClient(Options{User: "rdd", KeyFile: g.keyFile, Problem: func(err error) { g.problems <- err }, Address: func() (string, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.address, nil
	}})
	g.client.t.tolerated = 0
	for _, f := range change {
		f(g.client)
	}
	run(tb, g.client.Run)
	serveVM(tb, g.vm, map[string]Handler{"dial": g.client.ServeDial})
	return g
}

// newVM is a VM whose sockets have short paths.
func newVM(tb testing.TB) layout.VM {
	tb.Helper()
	home, err := os.MkdirTemp("", "rdd")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(home) })
	return layout.VM{Home: home, Name: "rd"}
}

// serveVM serves a VM's socket until the test ends.
func serveVM(tb testing.TB, vm layout.VM, verbs map[string]Handler) {
	tb.Helper()
	s := &Server{Path: vm.ForwardSocket(), Verbs: verbs, Problem: func(err error) { tb.Error(err) }}
	run(tb, s.Run)
	testenv.Eventually(tb, "the socket is there", func() bool {
		c, err := net.Dial("unix", s.Path)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// run runs f until the test ends.
func run(tb testing.TB, f func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f(ctx) }()
	tb.Cleanup(func() { cancel(); <-done })
}

// listening is a server in the guest.
func listening(tb testing.TB, network, address string, serve func(forward.Conn)) net.Addr {
	tb.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c.(forward.Conn))
		}
	}()
	return l.Addr()
}
