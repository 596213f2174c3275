//go:build linux

package main

import (
	"os"
	"strings"
	"testing"
)

// What outlives a killed service is used again or ended in order, and said once.
func TestWhatACrashedServiceLeavesIsUsedOrEnded(t *testing.T) {
	t.Parallel()
	const condition = `jsonpath={.status.conditions[?(@.type=="Running")].message}`
	for _, tc := range []struct {
		name string
		qemu string // how it plays
		down func(e *testEnv)
		says string
		runs int // hostagents that ran in all
	}{
		{"hostagent lives", "", func(*testEnv) {}, "the service uses it again", 1},
		{"hostagent killed", "", func(e *testEnv) { e.killHostagent("demo") }, "had died while no service ran", 2},
		{"QEMU left alone", "orphan", func(e *testEnv) { e.killHostagent("demo") }, "left a QEMU running", 2},
		{"QEMU left alone, its guest hangs", "deaf", func(e *testEnv) { e.killHostagent("demo") }, "left a QEMU running", 2},
		{"power cut", "", func(e *testEnv) {
			e.killProcesses("rdd-lima hostagent") // first: it would notice that its QEMU has ended
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
				t.Errorf("%d QEMUs ran beside another one on the same disk", n)
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
			if n := e.countFakes("hostagent") + e.countFakes("qemu"); n > 0 {
				t.Errorf("said stopped, and %d processes live: %v", n, e.processes())
			}
		})
	}
}

// A stop of a service that is not there any more ends what it left.
func TestStopEndsTheVMsOfACrashedService(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	e.start()
	e.must(0, "vm", "create", "demo", e.template, "--start")
	e.killService()
	e.must(0, "svc", "stop")
	if left := e.processes(); len(left) > 0 {
		t.Fatal("left behind:", left)
	}
	if disk, err := os.ReadFile(e.vm("demo").Dir() + "/disk"); err != nil || strings.Join(strings.Fields(string(disk)), " ") != "made on off" {
		t.Errorf("the guest was not shut down in order: %q %v", disk, err)
	}
}
