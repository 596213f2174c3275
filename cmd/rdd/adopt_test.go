//go:build linux

package main

import (
	"os"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/testenv"
)

// VMs that outlive a killed service are used again or shut down, and the log says so once.
func TestVMsOfACrashedServiceAreAdoptedOrEnded(t *testing.T) {
	t.Parallel()
	const condition = `jsonpath={.status.conditions[?(@.type=="Running")].message}`
	for _, tc := range []struct {
		name string
		qemu string // setting of the fake
		down func(e *testEnv)
		says string
		runs int // number of hostagents that ran
	}{
		{"hostagent lives", "", func(*testEnv) {}, "the service uses it again", 1},
		{"hostagent killed", "", func(e *testEnv) {
			e.killHostagent("demo")
			e.eventually("its QEMU has ended", func() bool { return !e.lockHeld(e.vm("demo").QEMULock()) })
		}, "had died while no service ran", 2},
		{"QEMU left alone", "orphan", func(e *testEnv) { e.killHostagent("demo") }, "left a QEMU running", 2},
		{"QEMU left alone, its guest hangs", "deaf", func(e *testEnv) { e.killHostagent("demo") }, "left a QEMU running", 2},
		{"power cut", "", func(e *testEnv) {
			e.killProcesses("rdd-lima hostagent") // first, because it would notice the end of its QEMU
			e.killProcesses("rdd-lima qemu")
			e.eventually("nothing is left", func() bool { return len(e.processes()) == 0 })
		}, "had died while no service ran", 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := newTestEnv(t)
			e.setFake("qemu", tc.qemu)
			e.start()
			e.must(0, "vm", "create", "demo", e.template, "--start")
			e.killService()
			tc.down(e)
			e.setFake("qemu", "")
			e.start()
			e.must(0, "vm", "start", "demo")
			if n := e.fake.Counted("agents"); n != tc.runs {
				t.Errorf("%d hostagents ran, want %d", n, tc.runs)
			}
			if n := e.fake.Counted("second-qemu"); n > 0 {
				t.Errorf("%d QEMUs were started while another one used the same disk", n)
			}
			if r := e.must(0, "ctl", "get", "limavm", "demo", "-o", condition); !strings.Contains(r.out, tc.says) {
				t.Errorf("the status says %q, not %q", r.out, tc.says)
			}
			text, err := os.ReadFile(e.serviceLog())
			if err != nil || strings.Count(string(text), tc.says) != 1 {
				t.Errorf("the log says %q %d times (%v)", tc.says, strings.Count(string(text), tc.says), err)
			}
			e.must(0, "vm", "stop", "demo")
			if r := e.must(0, "ctl", "get", "limavm", "demo", "-o", condition); r.out != "" {
				t.Errorf("after a stop the status still says %q", r.out)
			}
			// An adopted hostagent may still be ending: its end is known by its lock.
			if !testenv.Within(func() bool { return e.countFakes("hostagent")+e.countFakes("qemu") == 0 }) {
				t.Errorf("the VM is said to be stopped, but these run: %v", e.processes())
			}
		})
	}
}

// rdd svc stop after a crash ends the VMs that the service left.
func TestStopEndsTheVMsOfACrashedService(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	e.start()
	e.must(0, "vm", "create", "demo", e.template, "--start")
	e.killService()
	e.must(0, "svc", "stop")
	if left := e.left(); len(left) > 0 {
		t.Fatal("left behind:", left)
	}
	if disk, err := os.ReadFile(e.vm("demo").Dir() + "/disk"); err != nil || strings.Join(strings.Fields(string(disk)), " ") != "made on off" {
		t.Errorf("the guest was not shut down cleanly: %q %v", disk, err)
	}
}
