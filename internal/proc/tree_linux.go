package proc

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// group is a process group.
type group struct{ leader int }

func groupOf(p *os.Process) (group, error) { return group{p.Pid}, nil }

// await blocks until the leader has ended, and leaves it to be waited for.
func (g group) await() {
	for errors.Is(unix.Waitid(unix.P_PID, g.leader, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
}

func (group) close() {}
