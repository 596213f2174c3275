package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/crypto/ssh"

	"rancherdesktop.io/rdd/internal/forward"
)

// errLost means that a link was lost before the guest has answered.
var errLost = errors.New("the SSH connection to the guest was lost")

// link is one SSH connection. When it is retired nobody begins to use it, and it ends with its last user.
type link struct {
	client  *ssh.Client
	conn    *wire
	t       timing
	done    chan struct{} // closed when it has ended
	retired chan struct{} // closed when it is retired, or has ended
	early   bool          // whether the login began before the guest had booted
	check   chan struct{} // holds a token when somebody waits for an answer

	silent chan struct{} // holds a token when the guest has fallen silent

	mu        sync.Mutex
	users     int
	isRetired bool
	back      chan struct{} // not nil while the guest is silent; closed when it answers again
}

// login connects to an SSH server. It gives it the time greeting to begin to answer.
func login(ctx context.Context, address string, config *ssh.ClientConfig, t timing, greeting time.Duration) (*link, error) {
	dialer := net.Dialer{Timeout: greeting}
	raw, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	// QEMU accepts a connection whatever the guest does.
	_ = raw.SetDeadline(time.Now().Add(greeting))
	w := &wire{Conn: raw}
	w.greeted = sync.OnceFunc(func() { _ = raw.SetDeadline(time.Now().Add(t.handshake)) })
	conn, channels, requests, err := ssh.NewClientConn(w, address, config)
	if err != nil {
		return nil, err
	}
	_ = raw.SetDeadline(time.Time{})
	l := &link{client: ssh.NewClient(conn, channels, requests), conn: w, t: t,
		done: make(chan struct{}), retired: make(chan struct{}), check: make(chan struct{}, 1), silent: make(chan struct{}, 1)}
	go func() {
		err := l.client.Wait()
		w.broken.Store(true)
		if !errors.Is(err, net.ErrClosed) {
			logrus.WithError(err).Info("the guest has ended the SSH connection for forwarding")
		}
		close(l.done)
		l.retire()
	}()
	return l, nil
}

// acquire counts the caller as a user, unless the link is retired.
func (l *link) acquire() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isRetired {
		return false
	}
	l.users++
	return true
}

// release undoes acquire.
func (l *link) release() {
	l.mu.Lock()
	l.users--
	last := l.users == 0 && l.isRetired
	l.mu.Unlock()
	if last {
		l.close()
	}
}

// retire leaves the link to those who use it.
func (l *link) retire() {
	l.mu.Lock()
	first, idle := !l.isRetired, l.users == 0
	if first {
		l.isRetired = true
		close(l.retired)
	}
	l.mu.Unlock()
	if first && idle {
		l.close()
	}
}

// setSilent records whether the guest is silent.
func (l *link) setSilent(silent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case silent && l.back == nil:
		l.back = make(chan struct{})
		select {
		case l.silent <- struct{}{}:
		default:
		}
	case !silent && l.back != nil:
		close(l.back)
		l.back = nil
	}
}

// answering returns a channel that is closed when a guest that is silent answers again.
func (l *link) answering() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.back
}

// usable reports whether a dial may be answered.
func (l *link) usable() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.isRetired && l.back == nil
}

func (l *link) close() { _ = l.client.Close() }

// checkNow makes watch check at once whether the guest answers.
func (l *link) checkNow() {
	select {
	case l.check <- struct{}{}:
	default:
	}
}

// watch checks now and then whether the guest answers, until the link or ctx ends. It closes the link.
func (l *link) watch(ctx context.Context) {
	defer l.close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.done:
			return
		case <-time.After(l.t.keepalive):
		case <-l.check:
		}
		if !l.answers(ctx) {
			return
		}
	}
}

// ticks is how often a silence is looked at. It is counted, not timed: a host that has slept owes the guest time.
const ticks = 5

// answers waits for an answer of the guest, and returns false when the guest has been silent for too long. A guest whose answer waits behind other data is not silent.
func (l *link) answers(ctx context.Context) bool {
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_, _, _ = l.client.SendRequest("keepalive@openssh.com", true, nil) // an error ends the link
	}()
	tick := time.NewTicker(l.t.silence / ticks)
	defer tick.Stop()
	received := l.conn.received.Load()
	for silent := 0; ; {
		select {
		case <-ctx.Done():
			return false
		case <-answered:
			l.setSilent(false)
			return true
		case <-tick.C:
		}
		if now := l.conn.received.Load(); now != received {
			received, silent = now, 0
			l.setSilent(false)
			continue
		}
		silent++
		switch {
		case silent == ticks:
			logrus.Warn("the guest is silent; another SSH connection for forwarding is tried")
			l.setSilent(true)
		case time.Duration(silent)*l.t.silence/ticks >= l.t.silence+l.t.abandon:
			return false
		}
	}
}

// ask waits for the guest to answer to do. The error is errLost when the link can't be used any more.
func ask[T any](ctx context.Context, l *link, do func() (T, error), undo func(T)) (none T, err error) {
	type result struct {
		value T
		err   error
	}
	answered := make(chan result, 1)
	go func() {
		value, err := do()
		answered <- result{value, err}
	}()
	late := time.NewTimer(l.t.unanswered)
	defer late.Stop()
	for err == nil {
		select {
		case r := <-answered:
			if _, refused := errors.AsType[*ssh.OpenChannelError](r.err); r.err != nil && !refused {
				l.retire()
				return none, errLost
			}
			return r.value, r.err
		case <-late.C:
			l.checkNow()
		case <-l.retired:
			err = errLost
		case <-ctx.Done():
			err = noAnswer(ctx)
		}
	}
	go func() {
		if r := <-answered; r.err == nil {
			undo(r.value)
		}
	}()
	return none, err
}

// noAnswer explains why the guest was not waited for any longer.
func noAnswer(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return fmt.Errorf("%w: it does not answer", forward.ErrNotConnected)
}

// open opens a channel. The caller has acquired the link; it is released when both sides have closed the channel:
// what was sent last could be lost with the link.
func (l *link) open(ctx context.Context, kind string, payload []byte) (*conn, error) {
	return ask(ctx, l, func() (*conn, error) {
		channel, requests, err := l.client.OpenChannel(kind, payload)
		if err != nil {
			l.release()
			return nil, err
		}
		c := &conn{Channel: channel, link: l, ended: make(chan struct{})}
		go c.follow(requests)
		return c, nil
	}, func(c *conn) { _ = c.Close() })
}
