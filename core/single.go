package core

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"rancherdesktop.io/rdd/internal/proc"
)

// Single sees to it that an instance has one of a program, such as its window. The first one hears of each
// later start, with its arguments; a later one hands them over and is told to end.
type Single struct {
	socket net.Listener
	lock   *proc.Lock
}

// handOverTimeout bounds a later start's wait for the first one, which may be starting itself.
const handOverTimeout = 5 * time.Second

// First tries to be the only one of the program. It returns nil when another one lives and has taken args.
func (c *Core) First(ctx context.Context, program string, args []string) (*Single, error) {
	const op = "start program"
	lockFile, socketFile, err := c.inst.SingleFiles(program)
	if err != nil {
		return nil, Failed(op, program, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, handOverTimeout, fmt.Errorf("%w: %s is already running, but did not answer within %s; end it, then try again", context.DeadlineExceeded, program, handOverTimeout))
	defer cancel()
	for {
		lock, err := proc.Acquire(lockFile)
		if err == nil {
			s, err := listenSingle(lock, socketFile)
			return s, Failed(op, program, err)
		}
		if !errors.Is(err, proc.ErrLocked) {
			return nil, Failed(op, program, err)
		}
		if tell(ctx, socketFile, args) == nil {
			return nil, nil
		}
		select {
		case <-ctx.Done():
			return nil, Failed(op, program, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func listenSingle(lock *proc.Lock, path string) (*Single, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, errors.Join(err, lock.Release())
	}
	socket, err := net.Listen("unix", path)
	if err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	return &Single{socket, lock}, nil
}

// tell hands args over, and returns when they were taken.
func tell(ctx context.Context, path string, args []string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if err := json.NewEncoder(conn).Encode(args); err != nil {
		return err
	}
	_, err = bufio.NewReader(conn).ReadString('\n')
	return err
}

// Serve calls asked for each later start, until Close.
func (s *Single) Serve(asked func(args []string)) {
	for {
		conn, err := s.socket.Accept()
		if err != nil {
			return
		}
		_ = conn.SetDeadline(time.Now().Add(handOverTimeout))
		var args []string
		if json.NewDecoder(conn).Decode(&args) == nil {
			asked(args)
			_, _ = conn.Write([]byte("taken\n"))
		}
		conn.Close()
	}
}

// Close lets another one be the first.
func (s *Single) Close() error { return errors.Join(s.socket.Close(), s.lock.Release()) }
