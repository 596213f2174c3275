package machinetest

import (
	"os/exec"
	"syscall"
)

// endWithParent makes the kernel send cmd a SIGTERM when the thread that starts it ends.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}
