// Package relay carries connections into a VM's guest: it keeps up one SSH connection to the guest, and serves the VM's
// forward socket with it. Only the hostagent uses it; package forward is for the others.
package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
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
