//go:build unix

package lima

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/lima-vm/lima/pkg/version"

	"rancherdesktop.io/rdd/internal/machine/layout"
)

// TestMain lets the test binary play a hostagent that starts QEMU, and the program it puts before QEMU.
func TestMain(m *testing.M) {
	switch os.Getenv("PLAY") {
	case "hostagent":
		runtime.LockOSThread()
		cmd := exec.Command(os.Args[0], os.Args[1:]...)
		cmd.Env = append(os.Environ(), "PLAY=qemu", "PARENT="+strconv.Itoa(os.Getpid()))
		cmd.Stderr = os.Stderr
		_ = cmd.Run()
		os.Exit(1)
	case "qemu":
		parent, _ := strconv.Atoi(os.Getenv("PARENT"))
		fmt.Fprintln(os.Stderr, RunQEMU(os.Args[1], os.Getenv("LOCK"), parent, os.Args[2:]))
		os.Exit(1)
	}
	os.Exit(m.Run())
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
func newVM(t *testing.T) layout.VM {
	dir := t.TempDir()
	vm := layout.VM{Home: filepath.Join(dir, "lima"), Name: "rd", Logs: filepath.Join(dir, "log")}
	t.Setenv("LIMA_HOME", vm.Home)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	t.Setenv("HOME", dir)
	version.Version = "1.2.2" // a test's build information doesn't say it
	return vm
}
