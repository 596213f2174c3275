//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// isolate keeps the terminal's Ctrl-C from cmd and its children, and makes the end of its context
// an interrupt for all of them.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
}
