package relay

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"
)

// wire is the TCP connection below a link. It knows whether the guest sends anything, and when the connection is
// broken, before the SSH channels over it seem to have ended.
//
// It gathers what many channels send at the same moment: the SSH client writes each packet by itself, and each would
// interrupt the guest.
type wire struct {
	net.Conn
	greeted  func() // called when the server answers
	received atomic.Int64
	broken   atomic.Bool

	wake   chan struct{} // holds a token when there is something to send
	closed chan struct{}

	mu      sync.Mutex
	room    *sync.Cond // signals that pending is shorter, or that err is set
	pending []byte
	err     error
}

// maxPending is how much may wait to be sent.
const maxPending = 256 << 10

func newWire(conn net.Conn) *wire {
	w := &wire{Conn: conn, wake: make(chan struct{}, 1), closed: make(chan struct{})}
	w.room = sync.NewCond(&w.mu)
	go w.send()
	return w
}

// Read is called by the SSH client only.
func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if n > 0 {
		w.received.Add(int64(n))
		w.greeted()
	}
	if err != nil {
		w.broken.Store(true)
	}
	return n, err
}

// Write returns once b is about to be sent.
func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.pending) >= maxPending && w.err == nil {
		w.room.Wait()
	}
	if w.err != nil {
		return 0, w.err
	}
	w.pending = append(w.pending, b...)
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return len(b), nil
}

// send sends what is pending, until the connection is closed or broken.
func (w *wire) send() {
	var sending []byte
	for {
		select {
		case <-w.closed:
			return
		case <-w.wake:
		}
		runtime.Gosched() // others that are about to write come first
		w.mu.Lock()
		sending, w.pending = w.pending, sending[:0]
		w.mu.Unlock()
		w.room.Broadcast()
		if _, err := w.Conn.Write(sending); err != nil {
			w.fail(err)
			_ = w.Conn.Close() // ends Read
			return
		}
	}
}

// fail makes Write fail from now on.
func (w *wire) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	w.err = err
	close(w.closed)
	w.room.Broadcast()
}

// Close closes the connection. What is pending is lost: a link is closed when nothing it carries matters any more.
func (w *wire) Close() error {
	w.fail(net.ErrClosed)
	return w.Conn.Close()
}
