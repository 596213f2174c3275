//go:build unix

package proc

import (
	"context"
	"io"
	"os/exec"
	"runtime"
	"syscall"
)

// Guard runs a program that doesn't call EndWithParent, until that ends or ctx ends. Its caller is a process that does nothing
// else and has called EndWithParent. It returns the program's exit code. As in a shell, that is 128 plus the signal's number
// when a signal has ended the program.
func Guard(ctx context.Context, out, problems io.Writer, program string, args ...string) (code int, err error) {
	runtime.LockOSThread() // for endWithUs
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = out, problems
	endWithUs(cmd)
	err = cmd.Run()
	if cmd.ProcessState == nil {
		return 0, err
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}
