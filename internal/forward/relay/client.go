// Package relay carries connections into a VM's guest: it keeps up one SSH connection to the guest, and serves the VM's
// forward socket with it. Only the hostagent uses it; package forward is for the others.
package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/crypto/ssh"

	"rancherdesktop.io/rdd/internal/forward"
)

// Options say how to reach the guest's SSH server.
type Options struct {
	Address func() (string, error) // of the SSH server
	User    string
	KeyFile string // the user's private key

	// Problem is told why there has been no connection for a while; nil says that there is one again.
	Problem func(error)
}

// Client keeps up the SSH connection to a guest.
type Client struct {
	o       Options
	t       timing
	ciphers []string

	mu      sync.Mutex
	link    *link         // for new connections; nil while there is none
	changed chan struct{} // closed when link or failure has changed
	failure error         // why the last attempt failed
	since   time.Time     // of the first failure in a row
	told    string        // what Problem was told last
	booted  atomic.Bool
	renew   chan struct{} // holds a token when a new link is wanted instead of a stale one
	key     ssh.Signer    // nil until it was read
}

// timing is how long a client waits; tests have less patience.
type timing struct {
	keepalive  time.Duration // between two checks whether the guest answers
	silence    time.Duration // after which a guest that sends nothing at all doesn't answer
	unanswered time.Duration // after which a dial without an answer begins such a check
	abandon    time.Duration // how long connections over a link that doesn't answer may wait for the guest to come back
	greeting   time.Duration // for the SSH server to answer a first attempt; doubled for each that follows
	handshake  time.Duration // for the rest of a login
	backoff    time.Duration // after the first failed attempt
	dial       time.Duration // bounds a dial without a deadline
	tolerated  time.Duration // how long attempts may fail until that is a problem
}

const (
	maxGreeting = time.Minute
	maxBackoff  = 2 * time.Second
)

// NewClient returns a client. It connects once Run is called.
func NewClient(o Options) *Client {
	return &Client{
		o: o, ciphers: ciphers, changed: make(chan struct{}), renew: make(chan struct{}, 1),
		t: timing{keepalive: 15 * time.Second, silence: 10 * time.Second, unanswered: time.Second, abandon: 2 * time.Minute,
			greeting: 10 * time.Second, handshake: time.Minute, backoff: 100 * time.Millisecond, dial: forward.DialTimeout, tolerated: 5 * time.Second},
	}
}

// Run connects, and connects again whenever the connection is lost, until ctx ends. Then it ends all connections.
func (c *Client) Run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	var l *link
	for {
		next := c.connectAgain(ctx, l)
		if next == nil {
			break
		}
		c.use(next)
		if next != l {
			all.Go(func() { next.watch(ctx) })
			if l != nil {
				l.retire()
			}
		}
		l = next
		c.await(ctx, l)
	}
	c.use(nil)
	if l != nil {
		l.close()
	}
}

// connectAgain connects, with as many attempts as it takes. It returns old if that was only silent and answers again, and
// nil when ctx ends.
func (c *Client) connectAgain(ctx context.Context, old *link) *link {
	trying, cancel := context.WithCancel(ctx)
	defer cancel()
	if old != nil {
		answering := old.answering()
		go func() {
			select {
			case <-answering:
				cancel()
			case <-trying.Done():
			}
		}()
	}
	backoff, greeting := c.t.backoff, c.t.greeting
	for {
		l, err := c.connect(trying, greeting)
		if err == nil {
			return l
		}
		if trying.Err() == nil {
			c.failed(err)
			select {
			case <-trying.Done():
			case <-time.After(backoff):
			}
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case trying.Err() != nil:
			return old
		}
		backoff, greeting = min(2*backoff, maxBackoff), min(2*greeting, max(maxGreeting, greeting))
	}
}

// await waits until another link than l is needed. A stale or silent link serves until there is one.
func (c *Client) await(ctx context.Context, l *link) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.retired:
			c.drop(l)
			return
		case <-l.silent:
			if !l.usable() {
				return
			}
		case <-c.renew:
			if c.stale(l) {
				return
			}
		}
	}
}

// Booted tells that the guest has booted. The user may have been given groups since the login, which only another login
// has: there will be one when something is refused. Connections that are open stay.
func (c *Client) Booted() { c.booted.Store(true) }

// stale reports whether the guest may permit more to another login.
func (c *Client) stale(l *link) bool { return l.early && c.booted.Load() }

// replace waits for another link than l.
func (c *Client) replace(ctx context.Context, l *link) {
	select {
	case c.renew <- struct{}{}:
	default:
	}
	for {
		c.mu.Lock()
		now, changed := c.link, c.changed
		c.mu.Unlock()
		if now != l {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// use makes l the link for new connections.
func (c *Client) use(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure != nil && l != nil {
		logrus.Info("the SSH connection for forwarding to the guest is there again")
	}
	c.link, c.failure = l, nil
	c.change()
	if l != nil && c.told != "" {
		c.told = ""
		c.o.Problem(nil)
	}
}

// drop stops using l.
func (c *Client) drop(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == l {
		c.link = nil
		c.change()
	}
}

// failed records why there is no connection.
func (c *Client) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure == nil {
		c.since = time.Now()
	}
	if c.failure == nil || c.failure.Error() != err.Error() {
		logrus.WithError(err).Warn("no SSH connection for forwarding to the guest; retrying")
	}
	if (c.link == nil || !c.link.usable()) && time.Since(c.since) >= c.t.tolerated && c.told != err.Error() {
		c.told = err.Error()
		c.o.Problem(err)
	}
	c.failure = err
	c.change()
}

// change wakes those who wait. The caller holds mu.
func (c *Client) change() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// acquire waits for a link, and counts the caller as a user of it.
func (c *Client) acquire(ctx context.Context) (*link, error) {
	for {
		c.mu.Lock()
		l, changed, failure := c.link, c.changed, c.failure
		c.mu.Unlock()
		if l != nil && l.acquire() {
			return l, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, noLink(ctx, failure)
		}
	}
}

// noLink explains why there was no connection in time.
func noLink(ctx context.Context, failure error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	if failure != nil {
		return fmt.Errorf("%w: %w", forward.ErrNotConnected, failure)
	}
	return fmt.Errorf("%w yet: it is still booting, or does not answer", forward.ErrNotConnected)
}

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

// connect makes one attempt.
func (c *Client) connect(ctx context.Context, greeting time.Duration) (*link, error) {
	address, err := c.o.Address()
	if err != nil {
		return nil, err
	}
	early := !c.booted.Load()
	if err := c.readKey(); err != nil {
		return nil, fmt.Errorf("read the SSH key %s: %w", c.o.KeyFile, err)
	}
	l, err := login(ctx, address, &ssh.ClientConfig{
		User: c.o.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(c.key)},
		Config: ssh.Config{Ciphers: c.ciphers},
		// Nobody knows the key of a new guest, and Lima does not check it either. The port is that of our own QEMU, and a
		// login by key tells nothing to a server.
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), //nolint:gosec // see above
	}, c.t, greeting)
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err // without our own port, which differs each time
	}
	if err != nil {
		return nil, fmt.Errorf("log in to the guest's SSH server on %s: %w", address, err)
	}
	l.early = early
	return l, nil
}

// readKey reads the user's key, once: a guest that runs accepts no other.
func (c *Client) readKey() error {
	if c.key != nil {
		return nil
	}
	text, err := os.ReadFile(c.o.KeyFile)
	if err == nil {
		c.key, err = ssh.ParsePrivateKey(text)
	}
	return err
}

// ciphers are in order of their speed in a guest.
var ciphers = []string{ssh.CipherAES128GCM, ssh.CipherChaCha20Poly1305, ssh.CipherAES256GCM, ssh.CipherAES128CTR, ssh.CipherAES256CTR}

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
