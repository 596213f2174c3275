package proc

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Holds says whether the process pid itself has the lock on path, as the kernel knows it. A process
// that has only inherited the locked file has it, too.
// Source: proc_pid_fdinfo(5); a locked file's entry has lines such as "lock: 1: FLOCK ADVISORY WRITE …".
func Holds(pid int, path string) bool {
	want, err := os.Stat(path)
	if err != nil {
		return false
	}
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	files, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return false // gone, or somebody else's
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

// locked says whether an open file holds an exclusive lock, by its entry in fdinfo.
func locked(entry string) bool {
	f, err := os.Open(entry)
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) > 4 && words[0] == "lock:" && words[2] == "FLOCK" && words[4] == "WRITE" {
			return true
		}
	}
	return false
}

// Holder finds the process that has the lock on path. It returns ErrGone when none has, and
// errors.ErrUnsupported where the system doesn't tell.
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
