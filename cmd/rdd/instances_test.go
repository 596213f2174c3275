//go:build linux

package main

import (
	"strings"
	"sync"
	"testing"
)

// Two instances of one user share no names, ports or processes, and one survives the crash of the other.
func TestTwoInstancesSideBySide(t *testing.T) {
	t.Parallel()
	one := newTestEnv(t)
	two := one.secondInstance("other")
	both := func(args ...string) {
		t.Helper()
		var wg sync.WaitGroup
		for _, e := range []*testEnv{one, two} {
			wg.Go(func() {
				if r := e.run(args...); r.code != 0 {
					t.Errorf("rdd %s in %s: %+v", strings.Join(args, " "), e.instance, r)
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			t.FailNow()
		}
	}
	both("svc", "start")
	if one.record().Server == two.record().Server {
		t.Fatal("they listen on the same port:", one.record().Server)
	}
	both("vm", "create", "demo", one.template, "--start")
	one.must(0, "vm", "create", "mine", one.template)
	if r := two.must(0, "vm", "list"); strings.Contains(r.out, "mine") {
		t.Error(r.out)
	}
	both("vm", "restart", "demo")

	before := two.record()
	one.killService()
	if now := two.record(); now != before || !two.serviceRuns() {
		t.Fatal("the other service has changed:", now)
	}
	two.must(0, "svc", "status")
	two.must(0, "vm", "shell", "demo", "--", "true")
	one.must(6, "svc", "status")
	one.start()
	both("vm", "start", "demo")

	one.must(0, "svc", "stop")
	if n := one.countFakes("qemu"); n > 0 {
		t.Error(n, "guests of the stopped instance run")
	}
	if n := two.countFakes("qemu"); n != 1 {
		t.Error("the other instance has", n, "guests")
	}
	two.must(0, "vm", "shell", "demo", "true")
	one.must(0, "svc", "delete")
	one.must(9, "svc", "status")
	two.must(0, "vm", "stop", "demo")
	two.must(0, "vm", "delete", "demo")
	two.must(0, "svc", "status")
}
