//go:build linux

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/proc"
	"rancherdesktop.io/rdd/internal/testenv"
)

// A command right after a start with --wait=false, or after a start that timed out, reported success but had no
// effect: a second later the service ran, and a deleted instance existed again.
func TestCommandRightAfterAStartWithoutWaitingIsNotLost(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	e.must(0, "svc", "create")
	starts := map[string]func() int{
		"--wait=false": func() int { return e.run("svc", "start", "--wait=false").code },
		"--timeout":    func() int { return e.run("svc", "start", "--timeout", "1ms").code },
		"restart":      func() int { return e.run("svc", "restart", "--wait=false").code },
	}
	for name, start := range starts {
		for _, tc := range []struct {
			do   []string
			code int // of the status afterwards
		}{
			{[]string{"svc", "stop"}, 6}, {[]string{"svc", "reset"}, 6}, {[]string{"svc", "delete"}, 9},
			{[]string{"svc", "restart"}, 0}, {[]string{"svc", "stop", "--wait=false"}, 6},
		} {
			if code := start(); code != 0 && code != 4 {
				t.Fatalf("start (%s): exit code %d", name, code)
			}
			r := e.must(0, tc.do...)
			if strings.Contains(r.err, "was not running") {
				t.Errorf("start (%s), then %s: %s", name, strings.Join(tc.do, " "), r.err)
			}
			if tc.do[len(tc.do)-1] == "--wait=false" {
				e.must(0, "svc", "stop")
			}
			e.must(tc.code, "svc", "status")
			if n := len(e.processes()); (n > 0) != (tc.code == 0) {
				t.Errorf("start (%s), then %s: %v", name, strings.Join(tc.do, " "), e.processes())
			}
			e.must(0, "svc", "stop")
			if left := e.processes(); len(left) > 0 {
				t.Fatalf("start (%s), then %s: left behind after a stop: %v", name, strings.Join(tc.do, " "), left)
			}
		}
	}
}

// A restart that timed out while it stopped the service left everything stopped, although it said that the work goes on.
func TestRestartContinuesAfterADeadlineDuringItsStop(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(e *testEnv){
		"of a service":                  func(*testEnv) {},
		"of a service that has crashed": func(e *testEnv) { e.killService() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newTestEnv(t)
			e.setFake("stop", "slow")
			old := e.start()
			e.must(0, "vm", "create", "demo", e.template, "--start")
			prepare(e)
			r := e.must(4, "svc", "restart", "--timeout", "300ms")
			if !strings.Contains(r.err, "The operation continues in the background") {
				t.Error(r.err)
			}
			e.setFake("stopped", "")
			e.eventually("another run is ready", func() bool {
				rec := e.record()
				return rec.Nonce != old.Nonce && rec.Phase == "ready"
			})
			e.must(0, "vm", "start", "demo")
			if r := e.must(0, "svc", "start"); !strings.Contains(r.err, "already running") {
				t.Error(r.err)
			}
		})
	}
}

// A stop of the VMs that a crashed service had left ended when its deadline passed.
func TestStopAfterACrashContinuesAfterADeadline(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	e.setFake("stop", "slow")
	e.start()
	e.must(0, "vm", "create", "demo", e.template, "--start")
	e.killService()
	e.must(4, "svc", "stop", "--timeout", "300ms")
	e.must(7, "svc", "status")
	e.setFake("stopped", "")
	e.eventually("nothing is left", func() bool { return len(e.processes()) == 0 && !e.serviceRuns() })
	e.must(6, "svc", "status")
}

// The lock of a script that starts the service and a VM was held until they ended, because they inherited it.
func TestTheCallersFilesAreNotKeptOpen(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	path := filepath.Join(e.home, "lock")
	for _, args := range [][]string{{"svc", "start"}, {"vm", "create", "demo", e.template, "--start"}, {"svc", "restart"}} {
		lock, err := proc.Acquire(path)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), testenv.Timeout)
		cmd := e.command(ctx, args...)
		cmd.ExtraFiles = []*os.File{lock.File()}
		out, err := cmd.CombinedOutput()
		cancel()
		if err != nil {
			t.Fatal(err, string(out))
		}
		if err := lock.Release(); err != nil {
			t.Fatal(err)
		}
		// A child that another test starts has a copy of this process's files until its exec.
		e.eventually("the caller's lock is free after rdd "+strings.Join(args, " "), func() bool { return !e.lockHeld(path) })
	}
}

// The process that prepares a VM, and its children, kept running when the service was killed.
func TestHelpersEndWithAKilledService(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	e.setFake("prepare", "hang")
	e.start()
	e.must(0, "vm", "create", "demo", e.template, "--wait=false")
	e.eventually("it is being prepared", func() bool { // it writes nothing more, so no broken pipe ends it
		return strings.Contains(e.run("vm", "show", "demo", "-o", "json").out, `"phase": "`+event.Image+`"`)
	})
	e.killService()
	e.eventually("nothing is left", func() bool { return len(e.processes()) == 0 })
	_ = e.fake.Unset("prepare")
}
