package lifecycle

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"rancherdesktop.io/rdd/internal/instance"
)

// mounted is the folder of a VM that another disk is mounted on.
func mounted(inst instance.Instance) string { return filepath.Join(inst.LimaHome(), "rd") }

// inOwnMounts runs the test with this name in a process with mounts of its own, and reports whether this is that process.
func inOwnMounts(t *testing.T, name string) bool {
	t.Helper()
	const inside = "RDD_TEST_OWN_MOUNTS"
	if os.Getenv(inside) != "" {
		return true
	}
	own := func(program string, args ...string) *exec.Cmd {
		cmd := exec.Command(program, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		return cmd
	}
	if out, err := own("mount", "-t", "tmpfs", "rdd", t.TempDir()).CombinedOutput(); err != nil {
		t.Skipf("this user can't mount anything: %v: %s", err, out)
	}
	cmd := own(os.Args[0], "-test.run=^"+name+"$")
	cmd.Env = append(os.Environ(), inside+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// mountDisk mounts a disk on the folder of a VM until the test ends.
func mountDisk(t *testing.T, inst instance.Instance) {
	t.Helper()
	if err := os.MkdirAll(mounted(inst), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("rdd", mounted(inst), "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(mounted(inst), 0); err != nil {
			t.Error(err)
		}
	})
	mustWrite(t, filepath.Join(mounted(inst), "diffdisk"), "")
}

// A reset moved the disk that a user had mounted on the folder of a VM. The next start made a new folder on the small disk.
func TestResetLeavesAMountedDiskWhereItIs(t *testing.T) {
	if !inOwnMounts(t, t.Name()) {
		return
	}
	inst := newTestEnv(t).inst
	mountDisk(t, inst)
	for range 2 {
		if err := Reset(inst); err == nil {
			t.Error("a mount point was removed")
		}
		if exists(discarded(inst.LimaHome())) || !exists(mounted(inst)) || exists(filepath.Join(mounted(inst), "diffdisk")) {
			t.Error("the mount point was moved, or has its files still")
		}
	}
}

// After a reset was killed while the disk was moved, each start warned, and none moved it back.
func TestStartMovesAMountedDiskBack(t *testing.T) {
	if !inOwnMounts(t, t.Name()) {
		return
	}
	inst := newTestEnv(t).inst
	mountDisk(t, inst)
	if err := os.Rename(inst.LimaHome(), discarded(inst.LimaHome())); err != nil {
		t.Fatal(err)
	}
	claim, err := Take(inst, "n")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = claim.Release() }()
	err = Run(t.Context(), inst, claim, "test", slog.New(slog.DiscardHandler), func(context.Context, func(Record)) error {
		if !exists(mounted(inst)) {
			return fmt.Errorf("%s is missing", mounted(inst))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
