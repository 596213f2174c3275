// Package forward connects to addresses inside a VM's guest. The VM's hostagent does the work, on the VM's forward
// socket: package relay is its side. Here is the side of those who connect, and what both share.
//
// A request is one line, a verb and its arguments. The answer is "ok\n", after which the connection belongs to the
// verb, or "error CODE TEXT\n" and the end. The verb dial connects to an address in the guest: its arguments are
// "unix PATH", "tcp HOST:PORT" or "exec COMMAND", and after the answer the bytes are the guest's, with the end of each
// direction passed on.
package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"rancherdesktop.io/rdd/internal/machine/layout"
)

// Conn is a connection whose directions end one by one.
type Conn interface {
	net.Conn
	CloseWrite() error
}

var (
	// ErrNotConnected means that nothing in the guest can be reached now: the VM does not run, or its hostagent has no
	// connection to the guest.
	ErrNotConnected = errors.New("there is no connection to the guest")
	// ErrRefused means that the guest answers, and that nothing listens at the address.
	ErrRefused = errors.New("the guest refused the connection")
	// ErrUnknown means that the hostagent does not know the request: it was started by another version of RDD.
	ErrUnknown = errors.New("the VM's hostagent does not know the request")
)

// codes are how errors are called in an answer.
var codes = map[string]error{"not-connected": ErrNotConnected, "refused": ErrRefused, "unknown": ErrUnknown}

// DialTimeout bounds a Dial whose context has no deadline.
const DialTimeout = 30 * time.Second

// Limits of what is read from the other side.
const (
	maxRequest = 64 << 10
	maxError   = 16 << 10
)

// Dial connects to an address in the guest of vm: network is "unix" or "tcp", or "exec", whose address is a command. It
// waits for the hostagent's connection to the guest until the context's deadline. The error wraps ErrNotConnected or
// ErrRefused. The deadline doesn't apply to the connection.
func Dial(ctx context.Context, vm layout.VM, network, address string) (Conn, error) {
	conn, err := Open(ctx, vm, "dial "+network+" "+address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s in the guest of VM %q: %w", address, vm.Name, err)
	}
	return conn, nil
}

// Open makes a request to the hostagent of vm, and returns the connection once the hostagent has accepted it.
func Open(ctx context.Context, vm layout.VM, request string) (Conn, error) {
	if len(request) >= maxRequest || strings.ContainsAny(request, "\n") {
		return nil, errors.New("a request is one line of less than 64 KiB")
	}
	ctx, cancel := context.WithTimeout(ctx, timeout(ctx))
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "unix", vm.ForwardSocket())
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, notServed(vm, err)
	}
	conn := c.(*net.UnixConn)
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err = ask(conn, request)
	if !stop() && err == nil { // the deadline is over, and what it does to the connection may come yet
		err = os.ErrDeadlineExceeded
	}
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, os.ErrDeadlineExceeded) && errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("%w: the hostagent has not answered in time: %w", ErrNotConnected, ctx.Err())
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = ctx.Err()
	}
	_ = conn.Close()
	return nil, err
}

// timeout returns DialTimeout, or how long a context with a deadline lasts.
func timeout(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return time.Until(deadline)
	}
	return DialTimeout
}

// notServed explains why the socket of vm can't be reached.
func notServed(vm layout.VM, err error) error {
	if held := vm.HostagentAlive(); !held {
		return fmt.Errorf("%w: VM %q does not run", ErrNotConnected, vm.Name)
	}
	return fmt.Errorf("%w: VM %q has just been started, or was started by an older version of RDD: %w", ErrNotConnected, vm.Name, err)
}

// ask sends a request and reads the answer, and nothing after it.
func ask(conn net.Conn, request string) error {
	if _, err := conn.Write([]byte(request + "\n")); err != nil {
		return lost(err)
	}
	answer := make([]byte, len(accepted))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return lost(err)
	}
	if string(answer) == accepted {
		return nil
	}
	rest, err := io.ReadAll(io.LimitReader(conn, maxError))
	if err != nil && len(rest) == 0 {
		return lost(err)
	}
	return parseError(string(answer) + string(rest))
}

// lost explains why there is no answer.
func lost(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: the VM's hostagent has ended: %w", ErrNotConnected, err)
}

// answerError is an error of the other side. Its text is whole.
type answerError struct {
	kind error
	text string
}

func (e *answerError) Error() string { return e.text }
func (e *answerError) Unwrap() error { return e.kind }

// parseError reads an answer that is an error.
func parseError(answer string) error {
	answer = strings.TrimSpace(answer)
	rest, ok := strings.CutPrefix(answer, "error ")
	code, text, more := strings.Cut(rest, " ")
	if !ok || !more {
		return fmt.Errorf("the VM's hostagent has answered %.100q", answer)
	}
	return &answerError{kind: codes[code], text: text}
}
