//go:build unix

package proc

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// lead makes cmd the leader of a process group of its own.
func lead(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// kill kills who is left in the group. The number is its leader's until that is waited for.
func (g group) kill() { _ = unix.Kill(-g.leader, unix.SIGKILL) }
