package forward

import (
	"errors"
	"io"
	"net"
	"sync"
)

// bufferSize is that of a copy: what an SSH channel carries in one packet.
const bufferSize = 32 << 10

// ender is a connection that knows when neither direction works any more.
type ender interface{ Ended() <-chan struct{} }

// Join copies both ways between a and b until both ways have ended, and closes both. It passes on the end of each way by
// itself. A connection that breaks ends both at once, a TCP connection with a reset.
func Join(a, b Conn) {
	var both sync.WaitGroup
	done := make(chan struct{})
	var abort sync.Once
	way := func(dst, src Conn) {
		if err := copyAll(dst, src); err != nil {
			abort.Do(func() { reset(a); reset(b) })
			return
		}
		_ = dst.CloseWrite() // fails when the other side is gone, which the other way finds out
	}
	both.Go(func() { way(a, b) })
	both.Go(func() { way(b, a) })
	for _, pair := range [][2]Conn{{a, b}, {b, a}} {
		if e, ok := pair[0].(ender); ok {
			go stopReading(pair[1], e, done)
		}
	}
	both.Wait()
	close(done)
	_ = a.Close()
	_ = b.Close()
}

// stopReading ends the way from conn when nobody takes the data any more, although conn may never send any and so would
// never find out.
func stopReading(conn Conn, e ender, done <-chan struct{}) {
	select {
	case <-done:
	case <-e.Ended():
		if c, ok := conn.(interface{ CloseRead() error }); ok {
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

// buffers are shared by all copies.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// copyAll copies until src ends. It returns nil at an end of src that its sender has meant.
func copyAll(dst io.Writer, src io.Reader) error {
	if kernelCopies(dst, src) {
		_, err := io.Copy(dst, src)
		return err
	}
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

// errWrite makes an end of dst differ from one of src.
var errWrite = errors.New("the other side is gone")

// kernelCopies reports whether the system may copy by itself, as Linux does from and to TCP.
func kernelCopies(dst io.Writer, src io.Reader) bool {
	_, toTCP := dst.(*net.TCPConn)
	_, toUnix := dst.(*net.UnixConn)
	_, fromTCP := src.(*net.TCPConn)
	_, fromUnix := src.(*net.UnixConn)
	return toTCP && (fromTCP || fromUnix) || fromTCP && toUnix
}
