//go:build !windows

package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/proc"
)

// Lima's hostagent opens an SSH session, and sleeps 10 s when that fails. QEMU's network accepts a
// connection before the guest can, resends its SYN after growing delays, and drops it in the end.
// So ssh gets its connection from Dial, which begins a new one each second, and later less often, until one
// is answered.
const (
	dialTimeout   = 10 * time.Minute
	dialInterval  = time.Second
	bannerTimeout = 15 * time.Second // for the guest to answer on one connection
)

// attemptTimes returns the time until the next attempt and the timeout of that attempt; the first was elapsed ago. A
// slow guest gets more time: its server starts and ends a process for each abandoned connection, and enough of them
// keep it from ever answering.
func attemptTimes(elapsed time.Duration) (interval, limit time.Duration) {
	return max(dialInterval, elapsed/20), max(bannerTimeout, elapsed/3)
}

// Exec replaces this process with the real ssh, which gets its connection from this program's "dial" command.
func Exec(ssh, self string, args []string) error {
	proxy := fmt.Sprintf("ProxyCommand=%s dial %%h %%p", strings.ReplaceAll(lima.ShellQuote(self), "%", "%%"))
	cmd := exec.Command(ssh, append([]string{"-o", proxy, "-o", "ProxyUseFdpass=yes"}, args...)...)
	return proc.Become(cmd)
}

// Dial connects to an SSH server, waits until it answers, and passes the connection to ssh over the socket out. It ends
// early when ssh ends, which doesn't end its ProxyCommand, or when nobody holds agentLock any more, because the
// hostagent is gone.
func Dial(ctx context.Context, address, agentLock string, out *os.File) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	ctx, gone := context.WithCancelCause(ctx)
	go func() {
		_, _ = out.Read(make([]byte, 1)) // ssh writes nothing: this returns when it has ended
		gone(errors.New("ssh has ended"))
	}()
	answered := make(chan *net.TCPConn)
	try := func(limit time.Duration) {
		if c := dialOnce(ctx, address, limit); c != nil {
			select {
			case answered <- c:
			case <-ctx.Done():
			}
		}
	}
	for began := time.Now(); ; {
		interval, limit := attemptTimes(time.Since(began))
		go try(limit)
		select {
		case c := <-answered:
			return passOn(c, out)
		case <-ctx.Done():
			return fmt.Errorf("no SSH server answers on %s: %w", address, context.Cause(ctx))
		case <-time.After(interval):
		}
		if held, err := proc.Held(agentLock); err == nil && !held {
			return errors.New("the hostagent is gone")
		}
	}
}

// dialOnce makes one connection; nil when it isn't answered in time.
func dialOnce(ctx context.Context, address string, limit time.Duration) *net.TCPConn {
	d := net.Dialer{Timeout: limit}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil
	}
	c := conn.(*net.TCPConn)
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Now()) })
	defer stop()
	_ = c.SetReadDeadline(time.Now().Add(limit))
	if greeted(c) {
		return c
	}
	_ = c.Close()
	return nil
}

// greeting is how an SSH server begins (RFC 4253, 4.2). OpenSSH since 9.8 sends something else when it refuses the
// source of too many connections.
const greeting = "SSH-"

// greeted waits for the server's greeting, and leaves it unread.
func greeted(c *net.TCPConn) bool {
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
