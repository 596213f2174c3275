// Package proc holds what differs between operating systems about processes: kernel locks that
// say whether one lives, starting one that outlives its parent, and signals.
package proc

import (
	"errors"
	"fmt"
	"os"
)

// ErrGone means that the process to signal no longer lives.
var ErrGone = errors.New("the process is gone")

// Interrupt asks the process pid to stop in order. ours is asked once the system can no longer
// give that number to another process (on Linux); false means ErrGone and no signal.
func Interrupt(pid int, ours func() bool) error { return send(pid, ours, interrupt) }

// Kill ends the process pid at once, under the same condition as Interrupt.
func Kill(pid int, ours func() bool) error { return send(pid, ours, (*os.Process).Kill) }

func send(pid int, ours func() bool, signal func(*os.Process) error) error {
	if pid <= 1 { // kill(2) takes 0 and below for groups of processes; 1 is never ours
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
