package machinetest

import (
	"os/exec"
	"syscall"
)

// dieWithUs makes the kernel send cmd a SIGTERM when the thread that starts it ends.
func dieWithUs(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}
