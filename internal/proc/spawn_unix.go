//go:build unix

package proc

import (
	"os"
	"os/exec"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// starting is held while the files of this process are kept from a child: they are one for the whole process.
var starting sync.Mutex

// startAlone starts cmd without the files that this process was given. They are this process's again
// afterwards, because a program that it becomes may have been given one by name, such as /dev/fd/63.
func startAlone(cmd *exec.Cmd) error {
	starting.Lock()
	defer starting.Unlock()
	for _, fd := range given() {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err == nil {
			defer func() { _, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0) }()
		}
	}
	return cmd.Start()
}

// maxInheritedFDs bounds the search for open files on a system that doesn't list them.
const maxInheritedFDs = 1024

// given are the numbers of the files above stderr that a child would inherit. Whoever started this
// process opened them: Go's own are closed at exec.
func given() (fds []int) {
	inherits := func(fd int) {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && fd >= firstInheritedFD && flags&unix.FD_CLOEXEC == 0 {
			fds = append(fds, fd)
		}
	}
	entries, err := os.ReadDir("/dev/fd")
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil {
			inherits(fd)
		}
	}
	if err != nil || len(entries) <= firstInheritedFD { // some systems list the first three only
		fds = nil
		for fd := range maxInheritedFDs {
			inherits(fd)
		}
	}
	return fds
}

func ownFiles() {
	for _, fd := range given() {
		unix.CloseOnExec(fd)
	}
}
