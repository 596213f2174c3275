//go:build unix

package lima

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/version"

	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// TestMain lets the test binary play a hostagent that starts QEMU, and the program it puts before QEMU.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == GuardCommand {
		os.Exit(playGuard(os.Args[2], os.Args[3:]...))
	}
	switch os.Getenv("PLAY") {
	case "hostagent":
		runtime.LockOSThread()
		cmd := exec.Command(os.Args[0], os.Args[1:]...)
		cmd.Env = append(os.Environ(), "PLAY=qemu", "PARENT="+strconv.Itoa(os.Getpid()))
		cmd.Stderr = os.Stderr
		_ = cmd.Run()
		os.Exit(1)
	case "probe":
		ctx, _, _ := proc.Interruptible(context.Background())
		p := &prober{exe: os.Args[1], arch: limayaml.X8664, cache: os.Args[2], timeout: time.Hour}
		_, _ = p.runGuest(ctx)
		os.Exit(1)
	case "qemu":
		parent, _ := strconv.Atoi(os.Getenv("PARENT"))
		fmt.Fprintln(os.Stderr, RunQEMU(os.Args[1], os.Getenv("LOCK"), parent, os.Args[2:]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// playGuard is what rdd-lima does.
func playGuard(program string, args ...string) int {
	ctx, stop, err := proc.Interruptible(context.Background())
	if err == nil {
		defer stop()
		err = proc.EndWithParent(os.Getenv(proc.EnvTether))
	}
	code := 1
	if err == nil {
		code, err = proc.Guard(ctx, os.Stdout, os.Stderr, program, args...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return code
}

// needs skips a test when a program is missing, unless the whole suite is required.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			if os.Getenv("RDD_TEST_REQUIRE") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
}

// newVM is a VM in a Lima home of its own, with a cache of its own.
func newVM(t testing.TB) layout.VM {
	t.Helper()
	dir := t.TempDir()
	vm := layout.VM{Home: filepath.Join(dir, "lima"), Name: "rd", Logs: filepath.Join(dir, "log")}
	t.Setenv("LIMA_HOME", vm.Home)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	t.Setenv("HOME", dir)
	version.Version = "1.2.2" // a test's build information doesn't say it
	return vm
}
