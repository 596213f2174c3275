//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package proc

import (
	"errors"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// group is a process group, with a kqueue that reports the end of its leader.
type group struct{ leader, queue int }

func groupOf(p *os.Process) (group, error) {
	queue, err := unix.Kqueue()
	if err != nil {
		return group{}, os.NewSyscallError("kqueue", err)
	}
	unix.CloseOnExec(queue)
	exit := unix.Kevent_t{Fflags: unix.NOTE_EXIT}
	unix.SetKevent(&exit, p.Pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	_, err = unix.Kevent(queue, []unix.Kevent_t{exit}, nil, nil)
	if errors.Is(err, unix.ESRCH) { // ended already
		_ = unix.Close(queue)
		return group{p.Pid, -1}, nil
	}
	return group{p.Pid, queue}, os.NewSyscallError("kevent", err)
}

// await blocks until the leader has ended. Its status can still be waited for.
func (g group) await() {
	events := make([]unix.Kevent_t, 1)
	for g.queue >= 0 {
		if _, err := unix.Kevent(g.queue, nil, events, nil); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func (g group) close() { _ = unix.Close(g.queue) }

// endWithUs does nothing: these systems can't kill cmd with its parent. The process that started the guard kills the process
// group of both.
func endWithUs(*exec.Cmd) {}
