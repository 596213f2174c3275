package forward

import (
	"errors"
	"io"
	"net"
	"sync"
)

// Join copies both ways between a and b until both ways have ended, and closes both. It passes on the end of each way by
// itself. What one side sends still arrives when it takes nothing more itself, such as the error of a server that has
// not read the whole request. A connection that breaks ends both ways at once; TCP clients get a reset.
func Join(a, b Conn) {
	j := joint{a: a, b: b, done: make(chan struct{})}
	var both sync.WaitGroup
	both.Go(func() { j.copy(a, b) })
	both.Go(func() { j.copy(b, a) })
	go j.stopReading(a, b)
	go j.stopReading(b, a)
	both.Wait()
	close(j.done)
	j.close()
}

// joint is one call of Join.
type joint struct {
	a, b Conn
	done chan struct{} // closed when both ways have ended

	mu   sync.Mutex
	ends int  // ways that have ended
	deaf bool // whether one side takes nothing more, while the other way goes on
}

func (j *joint) close() {
	_ = j.a.Close()
	_ = j.b.Close()
}

// copy copies one way.
func (j *joint) copy(dst, src Conn) {
	err := copyAll(dst, src)
	switch {
	case err == nil:
		_ = dst.CloseWrite() // fails when dst is gone, which the other way finds out
		if j.end() {
			j.close()
		}
	case errors.Is(err, errWrite):
		if j.refuse() {
			j.close()
			return
		}
		_, _ = io.Copy(io.Discard, src) // until the other way has ended
	default:
		reset(j.a)
		reset(j.b)
	}
}

// end counts a way that has ended, and reports whether the other one goes nowhere.
func (j *joint) end() (over bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ends++
	return j.deaf
}

// refuse records that one side takes nothing more, and reports whether the other way has ended or goes nowhere, too.
func (j *joint) refuse() (over bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	over = j.deaf || j.ends > 0
	j.deaf = true
	return over
}

// ender is a connection that knows when neither way works any more.
type ender interface{ Ended() <-chan struct{} }

// stopReading ends the way from src when nobody takes its data any more, although src may never send any and so would
// never find out.
func (j *joint) stopReading(dst, src Conn) {
	e, ok := dst.(ender)
	if !ok {
		return
	}
	select {
	case <-j.done:
	case <-e.Ended():
		if c, ok := src.(interface{ CloseRead() error }); ok {
			_ = c.CloseRead()
		}
	}
}

// reset closes a connection that is not to end as if everything had been sent.
func reset(conn net.Conn) {
	if c, ok := conn.(interface{ SetLinger(int) error }); ok {
		_ = c.SetLinger(0)
	}
	_ = conn.Close()
}

// bufferSize is what an SSH channel carries in one packet.
const bufferSize = 32 << 10

// buffers are shared by all copies.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// errWrite means that dst takes nothing more.
var errWrite = errors.New("the other side takes nothing more")

// copyAll copies until src ends. It returns nil at an end of src that its sender has meant.
func copyAll(dst io.Writer, src io.Reader) error {
	buffer := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buffer)
	for {
		n, err := src.Read(buffer[:])
		if n > 0 {
			if _, err := dst.Write(buffer[:n]); err != nil {
				return errors.Join(errWrite, err)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
