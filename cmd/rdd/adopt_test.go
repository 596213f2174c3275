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
		down func(b *box)
		says string
		runs int // hostagents that ran in all
	}{
		{"hostagent lives", "", func(*box) {}, "the service uses it again", 1},
		{"hostagent killed", "", func(b *box) { b.killAgent("demo") }, "had died while no service ran", 2},
		{"QEMU left alone", "orphan", func(b *box) { b.killAgent("demo") }, "left a QEMU running", 2},
		{"QEMU left alone, its guest hangs", "deaf", func(b *box) { b.killAgent("demo") }, "left a QEMU running", 2},
		{"power cut", "", func(b *box) {
			b.killAll("rdd-lima hostagent") // first: it would notice that its QEMU has ended
			b.killAll("rdd-lima qemu")
			b.eventually("nothing is left", func() bool { return len(b.processes()) == 0 })
		}, "had died while no service ran", 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBox(t)
			b.set("qemu", tc.qemu)
			b.start()
			b.must(0, "vm", "create", "demo", b.template, "--start")
			b.killService()
			tc.down(b)
			b.set("qemu", "")
			b.start()
			b.must(0, "vm", "start", "demo")
			if n := b.stage.Counted("agents"); n != tc.runs {
				t.Errorf("%d hostagents ran, want %d", n, tc.runs)
			}
			if n := b.stage.Counted("second-qemu"); n > 0 {
				t.Errorf("%d QEMUs ran beside another one on the same disk", n)
			}
			if r := b.must(0, "ctl", "get", "limavm", "demo", "-o", condition); !strings.Contains(r.out, tc.says) {
				t.Errorf("the status says %q, not %q", r.out, tc.says)
			}
			text, err := os.ReadFile(b.log())
			if err != nil || strings.Count(string(text), tc.says) != 1 {
				t.Errorf("the log says %q %d times (%v)", tc.says, strings.Count(string(text), tc.says), err)
			}
			b.must(0, "vm", "stop", "demo")
			if r := b.must(0, "ctl", "get", "limavm", "demo", "-o", condition); r.out != "" {
				t.Errorf("after a stop the status still says %q", r.out)
			}
			if n := b.playing("hostagent") + b.playing("qemu"); n > 0 {
				t.Errorf("said stopped, and %d processes live: %v", n, b.processes())
			}
		})
	}
}

// A stop of a service that is not there any more ends what it left.
func TestStopEndsTheVMsOfACrashedService(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.start()
	b.must(0, "vm", "create", "demo", b.template, "--start")
	b.killService()
	b.must(0, "svc", "stop")
	if left := b.processes(); len(left) > 0 {
		t.Fatal("left behind:", left)
	}
	if disk, err := os.ReadFile(b.vm("demo").Dir() + "/disk"); err != nil || strings.Join(strings.Fields(string(disk)), " ") != "made on off" {
		t.Errorf("the guest was not shut down in order: %q %v", disk, err)
	}
}
