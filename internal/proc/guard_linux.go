package proc

import (
	"os/exec"
	"syscall"
)

// endWithUs has the kernel kill cmd when the thread that starts it ends: then it ends also with a guard
// that is killed by itself.
func endWithUs(cmd *exec.Cmd) { attributes(cmd).Pdeathsig = syscall.SIGKILL }
