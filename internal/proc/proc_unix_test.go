//go:build unix

package proc_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"rancherdesktop.io/rdd/internal/proc"
)

// alone puts cmd into a process group of its own, as a shell does.
func alone(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func hangUp(t *testing.T, p *os.Process) {
	t.Helper()
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGHUP, syscall.SIGKILL} {
		if err := syscall.Kill(-p.Pid, s); err != nil {
			t.Fatal(err)
		}
	}
}

// QEMU inherits its lock from the program that became it.
func TestInheritedLockIsHeldUntilTheHeirEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	lock, err := proc.Acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	heir := prepare(t, "echo")
	heir.cmd.ExtraFiles = []*os.File{lock.File()}
	if err := heir.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	heir.hears("ready")
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if !held(t, path) {
		t.Error("the lock went with its first owner")
	}
	heir.end()
	if held(t, path) {
		t.Error("the lock outlived its heir")
	}
}

func TestLockFileIsPrivate(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	path := filepath.Join(t.TempDir(), "lock")
	lock, err := proc.Acquire(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Release() }()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}
