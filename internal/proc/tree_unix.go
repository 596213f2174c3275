//go:build unix

package proc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"

	"golang.org/x/sys/unix"
)

// lead makes cmd the leader of a process group of its own.
func lead(cmd *exec.Cmd) { attributes(cmd).Setpgid = true }

// kill kills the processes of the group. No other group can have its number until the leader is waited for.
func (g group) kill() { _ = unix.Kill(-g.leader, unix.SIGKILL) }

// startTethered starts cmd with one end of a pipe. The other end is closed when this process ends, however it ends.
func startTethered(cmd *exec.Cmd) (tether io.Closer, err error) {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd.ExtraFiles = append(cmd.ExtraFiles, theirs)
	cmd.Env = append(cmd.Environ(), fmt.Sprintf("%s=%d", EnvTether, firstInheritedFD+len(cmd.ExtraFiles)-1))
	if err := startAlone(cmd); err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	return ours, nil
}

// EndWithParent kills this process and its process group when the process ends that has started it as a tree. The main of each
// program that may be the root of a tree calls it with the value of EnvTether, which is empty for other processes.
func EndWithParent(tether string) error {
	if tether == "" {
		return nil
	}
	fd, err := strconv.Atoi(tether)
	if err != nil {
		return fmt.Errorf("%s: %w", EnvTether, err)
	}
	unix.CloseOnExec(fd)
	if err := os.Unsetenv(EnvTether); err != nil { // the children don't have this tether
		return err
	}
	pipe := os.NewFile(uintptr(fd), "tether")
	go func() {
		_, _ = io.Copy(io.Discard, pipe) // nothing is written; the copy ends when the other end is closed
		if unix.Getpgrp() == os.Getpid() {
			_ = unix.Kill(0, unix.SIGKILL)
		}
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	}()
	return nil
}
