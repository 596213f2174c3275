//go:build linux

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/proc"
)

// What comes right after a start that waits for nothing, or whose waiting has ended, said that it was
// done, and was lost: a second later the service ran, and a deleted instance was back.
func TestCommandRightAfterAStartThatNobodyWaitsForIsNotLost(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.must(0, "svc", "create")
	starts := map[string]func() int{
		"--wait=false": func() int { return b.run("svc", "start", "--wait=false").code },
		"--timeout":    func() int { return b.run("svc", "start", "--timeout", "1ms").code },
		"restart":      func() int { return b.run("svc", "restart", "--wait=false").code },
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
			r := b.must(0, tc.do...)
			if strings.Contains(r.err, "was not running") {
				t.Errorf("start (%s), then %s: %s", name, strings.Join(tc.do, " "), r.err)
			}
			if tc.do[len(tc.do)-1] == "--wait=false" {
				b.must(0, "svc", "stop")
			}
			b.must(tc.code, "svc", "status")
			if n := len(b.processes()); (n > 0) != (tc.code == 0) {
				t.Errorf("start (%s), then %s: %v", name, strings.Join(tc.do, " "), b.processes())
			}
			b.must(0, "svc", "stop")
			if left := b.processes(); len(left) > 0 {
				t.Fatalf("start (%s), then %s: left behind after a stop: %v", name, strings.Join(tc.do, " "), left)
			}
		}
	}
}

// A restart whose deadline or Ctrl-C fell into its stop ended with everything stopped, and said that
// the work goes on.
func TestRestartGoesOnAfterADeadlineInItsStop(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(b *box){
		"of a service":                  func(*box) {},
		"of a service that has crashed": func(b *box) { b.killService() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			b.set("stop", "slow")
			old := b.start()
			b.must(0, "vm", "create", "demo", b.template, "--start")
			prepare(b)
			r := b.must(4, "svc", "restart", "--timeout", "300ms")
			if !strings.Contains(r.err, "The operation continues in the background") {
				t.Error(r.err)
			}
			b.set("stopped", "")
			b.eventually("another run is ready", func() bool {
				rec := b.record()
				return rec.Nonce != old.Nonce && rec.Phase == "ready"
			})
			b.must(0, "vm", "start", "demo")
			if r := b.must(0, "svc", "start"); !strings.Contains(r.err, "already running") {
				t.Error(r.err)
			}
		})
	}
}

// A stop that ends what a crashed service left ended with the waiting for it.
func TestStopOfWhatACrashLeftGoesOnAfterADeadline(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.set("stop", "slow")
	b.start()
	b.must(0, "vm", "create", "demo", b.template, "--start")
	b.killService()
	b.must(4, "svc", "stop", "--timeout", "300ms")
	b.must(7, "svc", "status")
	b.set("stopped", "")
	b.eventually("nothing is left", func() bool { return len(b.processes()) == 0 && !b.living() })
	b.must(6, "svc", "status")
}

// A script that holds a lock while it starts the service and a VM held it for as long as they live.
func TestTheCallersFilesAreNotKeptOpen(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	path := filepath.Join(b.home, "lock")
	for _, args := range [][]string{{"svc", "start"}, {"vm", "create", "demo", b.template, "--start"}, {"svc", "restart"}} {
		lock, err := proc.Acquire(path)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), hang)
		cmd := b.command(ctx, args...)
		cmd.ExtraFiles = []*os.File{lock.File()}
		out, err := cmd.CombinedOutput()
		cancel()
		if err != nil {
			t.Fatal(err, string(out))
		}
		if err := lock.Release(); err != nil {
			t.Fatal(err)
		}
		if b.held(path) {
			t.Errorf("after rdd %s the caller's lock is still held", strings.Join(args, " "))
		}
	}
}

// What prepares a VM ran on, and its children too, when the service that had started it was killed.
func TestHelpersEndWithAKilledService(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.set("prepare", "hang")
	rec := b.start()
	b.must(0, "vm", "create", "demo", b.template, "--wait=false")
	b.eventually("it is being prepared", func() bool { // and has nothing to say that would end it
		return strings.Contains(b.run("vm", "show", "demo", "-o", "json").out, `"phase": "`+event.Image+`"`)
	})
	if err := syscall.Kill(rec.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	b.eventually("nothing is left", func() bool { return len(b.processes()) == 0 })
	_ = b.stage.Unset("prepare")
}
