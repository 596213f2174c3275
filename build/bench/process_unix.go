//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// isolate protects cmd and its children from a Ctrl-C in the terminal, and interrupts them at the end of cmd's context.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
}
