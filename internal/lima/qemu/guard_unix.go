//go:build !windows

package qemu

import (
	"os"
	"os/exec"
)

// GuardCommand is the command of rdd-lima that runs somebody else's program, so that it ends with us.
const GuardCommand = "guard"

// guarded is a command for proc.Start that runs somebody else's program, which ends with this process
// also when that is killed.
func guarded(program string, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return exec.Command(self, append([]string{GuardCommand, program}, args...)...), nil
}
