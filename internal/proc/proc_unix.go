//go:build unix

package proc

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// detach makes cmd the leader of a session of its own, so that no Ctrl-C or hang-up of a terminal reaches it.
func detach(cmd *exec.Cmd) { attributes(cmd).Setsid = true }

// Interruptible returns a context that ends when this process is asked to stop: by Interrupt, by Ctrl-C, by the end of its
// terminal, or by the system. The mains call it before they take a lock.
func Interruptible(parent context.Context) (context.Context, context.CancelFunc, error) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup does
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(parent, signals...)
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
