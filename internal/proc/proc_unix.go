//go:build unix

package proc

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

func lockFile(f *os.File, exclusive bool) (ok bool, err error) {
	how := syscall.LOCK_SH
	if exclusive {
		how = syscall.LOCK_EX
	}
	err = syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// Detach makes cmd the leader of a session of its own, so that no terminal's Ctrl-C or hang-up reaches it.
func Detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// Interruptible returns a context that ends when this process is asked to stop in order: by
// Interrupt, by Ctrl-C, or by the system. The mains call it before they hold any lock.
func Interruptible(parent context.Context) (context.Context, context.CancelFunc, error) {
	ctx, stop := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	return ctx, stop, nil
}

func interrupt(p *os.Process) error { return p.Signal(os.Interrupt) }

// Become replaces this process by cmd. It returns only when that fails.
func Become(cmd *exec.Cmd) error {
	if cmd.Err != nil {
		return cmd.Err
	}
	return &os.PathError{Op: "exec", Path: cmd.Path, Err: syscall.Exec(cmd.Path, cmd.Args, cmd.Environ())}
}
