package datagram

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
)

// Relay is the guest's side: it sends the datagrams of each session in from a socket of its own, and writes what comes
// back to out. It returns when in ends.
func Relay(in io.Reader, out io.Writer) error {
	r := relay{out: out, conns: map[uint32]net.Conn{}}
	defer r.closeAll()
	for frames := NewReader(in); ; {
		f, err := frames.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		r.handle(f)
	}
}

// relay is one call of Relay.
type relay struct {
	mu    sync.Mutex // of out
	out   io.Writer
	conns map[uint32]net.Conn // used only by Relay's goroutine
	all   sync.WaitGroup
}

func (r *relay) handle(f Frame) {
	conn := r.conns[f.Session]
	switch f.Kind {
	case Open:
		if conn != nil {
			_ = conn.Close()
			delete(r.conns, f.Session)
		}
		conn, err := net.Dial("udp", string(f.Payload))
		if err != nil {
			return // no network in the guest: its datagrams are lost, as on a network
		}
		r.conns[f.Session] = conn
		r.all.Go(func() { r.answer(conn, f.Session) })
	case Data:
		if conn != nil {
			_, _ = conn.Write(f.Payload) // one that fails is lost
		}
	case Close:
		if conn != nil {
			_ = conn.Close()
			delete(r.conns, f.Session)
		}
	}
}

// answer passes on what comes back to a session, until its socket is closed.
func (r *relay) answer(conn net.Conn, session uint32) {
	payload := make([]byte, MaxPayload)
	var frame []byte
	for {
		n, err := conn.Read(payload)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			continue // nobody listens now; somebody may later
		case err != nil:
			return
		}
		frame = Frame{Kind: Data, Session: session, Payload: payload[:n]}.Append(frame[:0])
		r.mu.Lock()
		_, err = r.out.Write(frame)
		r.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (r *relay) closeAll() {
	for _, conn := range r.conns {
		_ = conn.Close()
	}
	r.all.Wait()
}
