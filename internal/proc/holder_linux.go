package proc

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Holds reports whether the process pid holds the lock on path. A process that has inherited the locked file holds the lock,
// too.
// Source: proc_pid_fdinfo(5); a locked file's entry has lines such as "lock: 1: FLOCK ADVISORY WRITE …".
func Holds(pid int, path string) bool {
	want, err := os.Stat(path)
	if err != nil {
		return false
	}
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	files, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return false // it has ended, or belongs to another user
	}
	for _, f := range files {
		link := filepath.Join(dir, "fd", f.Name())
		if to, err := os.Readlink(link); err != nil || filepath.Base(to) != filepath.Base(path) {
			continue
		}
		if have, err := os.Stat(link); err == nil && os.SameFile(have, want) && locked(filepath.Join(dir, "fdinfo", f.Name())) {
			return true
		}
	}
	return false
}

// locked reports whether the open file with this entry in fdinfo holds an exclusive lock.
func locked(entry string) bool {
	text, _ := os.ReadFile(entry)
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) > 4 && words[0] == "lock:" && words[2] == "FLOCK" && words[4] == "WRITE" {
			return true
		}
	}
	return false
}

// Holder returns the process that holds the lock on path. It returns ErrGone when there is none, and errors.ErrUnsupported when
// the system doesn't tell.
func Holder(path string) (pid int, err error) {
	processes, err := os.ReadDir("/proc")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, errors.ErrUnsupported
	}
	if err != nil {
		return 0, err
	}
	for _, p := range processes {
		if pid, err := strconv.Atoi(p.Name()); err == nil && Holds(pid, path) {
			return pid, nil
		}
	}
	return 0, ErrGone
}
