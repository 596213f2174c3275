package machinetest

import (
	"fmt"
	"os"
	"os/exec"
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

// The real command removes the mark last. A VM without one would never be prepared or removed again.
func TestWhatAKilledRemovalLeavesIsMarked(t *testing.T) {
	fake, err := New(filepath.Join(t.TempDir(), "fake"))
	if err != nil {
		t.Fatal(err)
	}
	vm := layout.VM{Home: filepath.Join(t.TempDir(), "lima"), Name: "rd"}
	const rounds, files = 5, 1000
	for range rounds {
		if err := os.MkdirAll(vm.Dir(), 0o700); err != nil {
			t.Fatal(err)
		}
		for i := range files {
			if err := os.WriteFile(filepath.Join(vm.Dir(), fmt.Sprint("file", i)), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(fake.Program(), "remove", "--lima-home", vm.Home, vm.Name)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for late := time.Now().Add(testenv.Timeout); ; {
			if names, err := vm.Contents(); err != nil || len(names) < files || time.Now().After(late) {
				break
			}
		}
		_ = cmd.Process.Kill() // fails when it has ended
		_ = cmd.Wait()
		if names, err := vm.Contents(); err != nil || len(names) > 0 && !vm.Unfinished() {
			t.Fatalf("%d files are left without a mark: %v", len(names), err)
		}
	}
}
