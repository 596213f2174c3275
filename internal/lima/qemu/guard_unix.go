//go:build !windows

package qemu

import (
	"os"
	"os/exec"
)

// GuardCommand is the command of rdd-lima that runs another program and ends it when its parent ends.
const GuardCommand = "guard"

// guarded returns a command for proc.Start that runs another program, which ends with this process, even if this
// process is killed.
func guarded(program string, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return exec.Command(self, append([]string{GuardCommand, program}, args...)...), nil
}
