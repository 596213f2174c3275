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

// Single ensures that a program, such as the window, runs once for each instance. Each later start passes its arguments to
// the running program and ends.
type Single struct {
	socket net.Listener
	lock   *proc.Lock
}

// handOverTimeout limits how long a later start waits for the running program, which may still be starting.
const handOverTimeout = 20 * time.Second

// First makes this process the running one of the program. It returns nil if another process runs and has accepted args.
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
		if handOver(ctx, socketFile, args) == nil {
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

// handOver passes args to the running program and returns when it has accepted them.
func handOver(ctx context.Context, path string, args []string) error {
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

// Serve calls started for each later start, until Close.
func (s *Single) Serve(started func(args []string)) {
	for {
		conn, err := s.socket.Accept()
		if err != nil {
			return
		}
		_ = conn.SetDeadline(time.Now().Add(handOverTimeout))
		var args []string
		if json.NewDecoder(conn).Decode(&args) == nil {
			started(args)
			_, _ = conn.Write([]byte("taken\n"))
		}
		conn.Close()
	}
}

// Close ends Serve, so that another process can be the first.
func (s *Single) Close() error { return errors.Join(s.socket.Close(), s.lock.Release()) }
