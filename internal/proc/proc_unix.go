//go:build unix

package proc

import (
	"errors"
	"os"
	"os/exec"
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

// Interrupt asks a process to stop in order. Call it only while the process's lock is held.
func Interrupt(pid int) error { return signal(pid, syscall.SIGINT) }

// Kill ends a process at once. Call it only while the process's lock is held.
func Kill(pid int) error { return signal(pid, syscall.SIGKILL) }

// signal refuses the numbers that kill(2) takes for groups of processes.
func signal(pid int, s syscall.Signal) error {
	if pid <= 1 {
		return syscall.ESRCH
	}
	return syscall.Kill(pid, s)
}
