package socket

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// hungUp reports whether the other side has closed the connection, and not only the direction in which it sends.
func hungUp(conn net.Conn, _ bool) (closed bool) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	_ = raw.Control(func(fd uintptr) {
		state := []unix.PollFd{{Fd: int32(fd)}}
		if n, err := unix.Poll(state, 0); err == nil && n > 0 {
			closed = state[0].Revents&unix.POLLHUP != 0
		}
	})
	return closed
}
