//go:build unix

package proc

import (
	"os"
	"os/exec"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// starting is held by startAlone, because close-on-exec is a property of the whole process's files.
var starting sync.Mutex

// startAlone starts cmd without the files that this process was given by its parent. Afterwards they are inheritable again,
// because a program that this process becomes may have been given one by name, such as /dev/fd/63.
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

// maxInheritedFDs bounds the search for open files on systems that don't list them.
const maxInheritedFDs = 1024

// given returns the files above stderr that a child would inherit. The parent of this process has opened them: files that Go
// opens are closed at exec.
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
