// Package proc hides how operating systems differ about processes: kernel locks that say whether a process runs, processes
// that outlive their parent or end with it, and signals.
package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// ErrGone means that the process has ended.
var ErrGone = errors.New("the process is gone")

// Interrupt asks the process pid to stop. It calls ours once the system can't give that PID to another process any more (on
// Linux). If ours returns false, Interrupt sends no signal and returns ErrGone.
func Interrupt(pid int, ours func() bool) error { return send(pid, ours, interrupt) }

// Kill ends the process pid immediately, under the same condition as Interrupt.
func Kill(pid int, ours func() bool) error { return send(pid, ours, (*os.Process).Kill) }

func send(pid int, ours func() bool, signal func(*os.Process) error) error {
	if pid <= 1 { // for kill(2), 0 and below are groups of processes; 1 is init
		return ErrGone
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	defer func() { _ = p.Release() }()
	if !ours() {
		return ErrGone
	}
	err = signal(p)
	if errors.Is(err, os.ErrProcessDone) {
		return ErrGone
	}
	return err
}

func attributes(cmd *exec.Cmd) *syscall.SysProcAttr {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	return cmd.SysProcAttr
}
