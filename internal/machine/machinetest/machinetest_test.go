package machinetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
	"rancherdesktop.io/rdd/internal/testenv"
)

// TestMain makes the program of `go test -c`, called rdd-lima, the fake.
func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}

// A test that does not end its VMs must not leave their processes on the machine.
func TestProcessesEndWhenTheirFakeIsRemoved(t *testing.T) {
	fake, err := New(filepath.Join(t.TempDir(), "fake"))
	if err != nil {
		t.Fatal(err)
	}
	vm := layout.VM{Home: filepath.Join(t.TempDir(), "lima"), Name: "rd"}
	qemu, err := fake.Orphan(vm)
	if err != nil {
		t.Fatal(err)
	}
	if held, err := proc.Held(vm.QEMULock()); !held || err != nil {
		t.Fatal("it said that it is ready, and does not hold its lock", err)
	}
	if err := os.RemoveAll(fake.Dir); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- qemu.Wait() }()
	select {
	case <-ended:
	case <-time.After(testenv.Timeout):
		_ = qemu.Process.Kill()
		t.Fatal("it runs although its directory was removed")
	}
}

func TestOneQEMUAtATime(t *testing.T) {
	fake, err := New(filepath.Join(t.TempDir(), "fake"))
	if err != nil {
		t.Fatal(err)
	}
	vm := layout.VM{Home: filepath.Join(t.TempDir(), "lima"), Name: "rd"}
	first, err := fake.Orphan(vm)
	if err != nil {
		t.Fatal(err)
	}
	second, err := fake.Orphan(vm)
	if err == nil || second.Wait() == nil || fake.Counted("second-qemu") != 1 {
		t.Error("two QEMUs used one disk")
	}
	if err := send(vm, "powerdown"); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(Disk(vm))
	if err != nil || strings.Join(strings.Fields(string(b)), " ") != "on off" {
		t.Fatalf("%q %v", b, err)
	}
}
