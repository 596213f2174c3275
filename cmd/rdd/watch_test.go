//go:build linux

package main

import (
	"context"
	"errors"
	"slices"
	"testing"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/testenv"
)

// A watch that began before the instance existed sees everything that other processes do to it.
func TestWatchSeesTheServiceAndItsVMsComeAndGo(t *testing.T) {
	e := newTestEnv(t)
	t.Setenv("HOME", e.home)
	t.Setenv("RDD_LIBEXEC", e.libexec())
	inst, err := instance.Resolve(e.instance)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), testenv.Timeout)
	defer cancel()
	snapshots := make(chan core.Snapshot, 1000)
	go func() {
		defer close(snapshots)
		for snapshot := range core.New(inst, version).Watch(ctx) {
			snapshots <- snapshot
		}
	}()
	sees := func(what string, ok func(core.Snapshot) bool) core.Snapshot {
		t.Helper()
		for snapshot := range snapshots {
			if ok(snapshot) {
				return snapshot
			}
		}
		t.Fatalf("never seen: %s", what)
		return core.Snapshot{}
	}
	is := func(state core.ServiceState) func(core.Snapshot) bool {
		return func(s core.Snapshot) bool {
			return s.Service.State == state && (s.VMs != nil) == (state == core.ServiceRunning)
		}
	}
	vm := func(want string) func(core.Snapshot) bool {
		return func(s core.Snapshot) bool {
			return slices.ContainsFunc(s.VMs, func(vm core.VM) bool { return vm.Name == "demo" && core.Describe(&vm).State == want })
		}
	}

	sees("no instance", is(core.ServiceNotCreated))
	e.start()
	sees("a service", is(core.ServiceRunning))
	canceled, stopWaiting := context.WithCancel(ctx)
	stopWaiting()
	if st, err := core.New(inst, version).Service().Status(canceled); !errors.Is(err, context.Canceled) {
		t.Error("a canceled Status reports", st.State, st.Error)
	}
	e.setFake("boot", "late")
	e.must(0, "vm", "create", "demo", e.template, "--start", "--wait=false")
	sees("a VM that starts", vm("Starting"))
	e.setFake("booted", "")
	sees("a VM that runs", vm("Running"))
	e.killService()
	sees("no service", is(core.ServiceStopped))
	e.start()
	sees("the VM again", vm("Running"))
	e.setFake("stop", "slow")
	e.must(0, "svc", "stop", "--wait=false")
	sees("a service that stops", func(s core.Snapshot) bool { return s.Service.State == core.ServiceStopping })
	e.setFake("stopped", "")
	sees("a stopped service", is(core.ServiceStopped))
	e.start()
	e.must(0, "vm", "delete", "demo")
	sees("no VM", func(s core.Snapshot) bool { return s.VMs != nil && len(s.VMs) == 0 })
}
