package ports

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/forward/datagram"
)

// serveUDP passes on datagrams until conn is closed.
func (fw *forwarding) serveUDP(ctx context.Context, conn *net.UDPConn) {
	clients := map[netip.AddrPort]*udpSession{}
	defer func() {
		for _, s := range clients {
			fw.forwarder.tunnel.close(s)
		}
	}()
	buf := make([]byte, datagram.MaxPayload)
	var swept time.Time
	for {
		idle := fw.forwarder.idleTimeout
		if len(clients) > 0 {
			_ = conn.SetReadDeadline(time.Now().Add(idle))
		} else {
			_ = conn.SetReadDeadline(time.Time{})
		}
		n, client, err := conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		now := time.Now()
		if now.Sub(swept) >= idle/2 {
			swept = now
			for at, s := range clients {
				if now.Sub(s.lastUsed()) >= idle {
					fw.forwarder.tunnel.close(s)
					delete(clients, at)
				}
			}
		}
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				pause(ctx, acceptPause)
			}
			continue
		}
		s := clients[client]
		if guest := fw.want.Load().dial(); s == nil || s.guest != guest {
			if s != nil {
				fw.forwarder.tunnel.close(s)
			}
			s = fw.forwarder.tunnel.open(guest, func(answer []byte) { _, _ = conn.WriteToUDPAddrPort(answer, client) })
			clients[client] = s
		}
		fw.forwarder.tunnel.send(s, buf[:n])
	}
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// udpSession is a client of a UDP port.
type udpSession struct {
	id     uint32
	guest  string
	answer func([]byte)

	mu   sync.Mutex
	used time.Time // when the last datagram went in any direction
}

func (s *udpSession) lastUsed() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

func (s *udpSession) use() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used = time.Now()
}

// tunnel carries the datagrams of all sessions to and from the guest. It starts rdd-guest with the first datagram, and again
// when that has ended. Datagrams that can't be sent soon are lost, as on a network.
type tunnel struct {
	guest func(ctx context.Context, in io.Reader, out io.Writer) error // runs rdd-guest
	queue chan outgoing

	retryInterval time.Duration

	mu       sync.Mutex
	last     uint32
	sessions map[uint32]*udpSession
	ended    []uint32 // sessions whose end the guest doesn't know yet
}

// outgoing is a datagram to the guest.
type outgoing struct {
	session *udpSession
	payload []byte
}

// queued is how many datagrams wait while rdd-guest starts, or while the guest is slow.
const queued = 256

func newTunnel(guest func(ctx context.Context, in io.Reader, out io.Writer) error) *tunnel {
	return &tunnel{guest: guest, queue: make(chan outgoing, queued), retryInterval: time.Second, sessions: map[uint32]*udpSession{}}
}

// open begins a session with an address in the guest. answer is called with each datagram that comes back.
func (t *tunnel) open(guest string, answer func([]byte)) *udpSession {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	for t.sessions[t.last] != nil {
		t.last++
	}
	s := &udpSession{id: t.last, guest: guest, answer: answer, used: time.Now()}
	t.sessions[s.id] = s
	return s
}

// send sends a copy of a datagram.
func (t *tunnel) send(s *udpSession, payload []byte) {
	s.use()
	select {
	case t.queue <- outgoing{s, append([]byte(nil), payload...)}:
	default:
	}
}

// close ends a session. The guest learns it with the next datagram.
func (t *tunnel) close(s *udpSession) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.sessions, s.id)
	t.ended = append(t.ended, s.id)
}

// takeEnded returns the sessions that have ended since the last call.
func (t *tunnel) takeEnded() []uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	ended := t.ended
	t.ended = nil
	return ended
}

// run carries datagrams until ctx ends.
func (t *tunnel) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-t.queue:
			t.takeEnded() // an earlier rdd-guest had these
			if err := t.carry(ctx, first); ctx.Err() == nil {
				logrus.WithError(err).Warn("the connection of the forwarded UDP ports has ended; the next datagram begins another")
				pause(ctx, t.retryInterval)
			}
		}
	}
}

// carry starts rdd-guest and sends first and what follows, until that fails or ctx ends.
func (t *tunnel) carry(ctx context.Context, first outgoing) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, toGuest := io.Pipe()
	fromGuest, out := io.Pipe()
	defer func() { _ = toGuest.Close() }() // rdd-guest ends with its stdin
	var both sync.WaitGroup
	defer both.Wait()
	ended := make(chan error, 1)
	both.Go(func() {
		err := t.guest(ctx, in, out)
		_ = in.CloseWithError(errGuestEnded)
		_ = out.Close()
		ended <- err
	})
	both.Go(func() {
		_ = fromGuest.CloseWithError(t.receive(fromGuest))
		cancel() // what comes back makes no sense
	})
	defer cancel()
	opened := map[uint32]bool{}
	var frames []byte
	for next := first; ; {
		frames = t.frames(frames[:0], next, opened)
		if _, err := toGuest.Write(frames); err != nil {
			return <-ended
		}
		select {
		case err := <-ended:
			return err
		case next = <-t.queue:
		}
	}
}

// errGuestEnded is why nothing can be sent any more.
var errGuestEnded = errors.New("rdd-guest has ended")

// frames appends the frames of a datagram to b, with those that must come before it.
func (t *tunnel) frames(b []byte, o outgoing, opened map[uint32]bool) []byte {
	for _, id := range t.takeEnded() {
		if opened[id] {
			delete(opened, id)
			b = datagram.Frame{Kind: datagram.Close, Session: id}.Append(b)
		}
	}
	if id := o.session.id; !opened[id] {
		opened[id] = true
		b = datagram.Frame{Kind: datagram.Open, Session: id, Payload: []byte(o.session.guest)}.Append(b)
	}
	return datagram.Frame{Kind: datagram.Data, Session: o.session.id, Payload: o.payload}.Append(b)
}

// receive passes what comes back to the clients, until the stream ends.
func (t *tunnel) receive(conn io.Reader) error {
	for frames := datagram.NewReader(conn); ; {
		f, err := frames.Next()
		if err != nil {
			return err
		}
		t.mu.Lock()
		s := t.sessions[f.Session]
		t.mu.Unlock()
		if s != nil && f.Kind == datagram.Data {
			s.use()
			s.answer(f.Payload)
		}
	}
}
