package proc

import (
	"errors"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// group is a process group.
type group struct{ leader int }

func groupOf(p *os.Process) (group, error) { return group{p.Pid}, nil }

// await blocks until the leader has ended. Its status can still be waited for.
func (g group) await() {
	for errors.Is(unix.Waitid(unix.P_PID, g.leader, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
}

func (group) close() {}

// endWithUs makes the kernel kill cmd when the thread that starts it ends, so that cmd also ends with a guard that is killed
// alone.
func endWithUs(cmd *exec.Cmd) { attributes(cmd).Pdeathsig = syscall.SIGKILL }
