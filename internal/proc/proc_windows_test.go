package proc_test

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/windows"
)

// alone puts cmd into a process group of its own, which a Ctrl-Break can be sent to.
func alone(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
}

func hangUp(t *testing.T, p *os.Process) {
	t.Helper()
	_ = windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(p.Pid)) // there may be no console
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
}

// runPlatformRole runs the roles that exist only on this system.
func runPlatformRole(string) {}
