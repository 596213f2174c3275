//go:build !windows

package lima

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"rancherdesktop.io/rdd/internal/proc"
)

// Lima's hostagent asks for an SSH session, and sleeps 10 s when it fails. QEMU's network accepts a
// connection before the guest can, holds its SYN back for growing times, and drops it in the end.
// So ssh gets its connection from Dial, which begins a new one each second until one is answered.
const (
	dialLimit    = 10 * time.Minute
	dialInterval = time.Second
	bannerLimit  = 15 * time.Second // for the guest to answer on one connection
)

// RunSSH becomes the real ssh, which gets its connection from this program's "dial".
func RunSSH(ssh, self string, args []string) error {
	proxy := fmt.Sprintf("ProxyCommand=%s dial %%h %%p", shellWord(self))
	cmd := exec.Command(ssh, append([]string{"-o", proxy, "-o", "ProxyUseFdpass=yes"}, args...)...)
	return proc.Become(cmd)
}

// Dial connects to an SSH server, waiting until it answers, and passes the connection to ssh over
// out, a socket. It ends early when nobody holds agentLock: the hostagent has gone.
func Dial(ctx context.Context, address, agentLock string, out *os.File) error {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	answered := make(chan *net.TCPConn)
	try := func() {
		if c := dialOnce(ctx, address); c != nil {
			select {
			case answered <- c:
			case <-ctx.Done():
			}
		}
	}
	tick := time.NewTicker(dialInterval)
	defer tick.Stop()
	for {
		go try()
		select {
		case c := <-answered:
			return passOn(c, out)
		case <-ctx.Done():
			return fmt.Errorf("no SSH server answers on %s: %w", address, context.Cause(ctx))
		case <-tick.C:
		}
		if held, err := proc.Held(agentLock); err == nil && !held {
			return errors.New("the hostagent is gone")
		}
	}
}

// dialOnce makes one connection; nil when it isn't answered in time.
func dialOnce(ctx context.Context, address string) *net.TCPConn {
	d := net.Dialer{Timeout: bannerLimit}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil
	}
	c := conn.(*net.TCPConn)
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Now()) })
	defer stop()
	_ = c.SetReadDeadline(time.Now().Add(bannerLimit))
	if speaks(c) {
		return c
	}
	_ = c.Close()
	return nil
}

// greeting is how an SSH server begins (RFC 4253, 4.2). One that refuses a source of too many
// connections, as OpenSSH does since 9.8, says other things.
const greeting = "SSH-"

// speaks waits until the server has greeted, and leaves that unread.
func speaks(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	b := make([]byte, len(greeting))
	n := 0
	err = raw.Read(func(fd uintptr) bool {
		var e error
		n, _, e = unix.Recvfrom(int(fd), b, unix.MSG_PEEK)
		return !errors.Is(e, unix.EAGAIN)
	})
	return err == nil && n > 0 && string(b[:n]) == greeting
}

// passOn gives the connection to ssh as ssh_config(5) describes under ProxyUseFdpass.
func passOn(c *net.TCPConn, out *os.File) error {
	f, err := c.File()
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Sendmsg(int(out.Fd()), []byte{0}, unix.UnixRights(int(f.Fd())), nil, 0)
}
