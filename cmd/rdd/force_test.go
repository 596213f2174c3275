//go:build linux

package main

import (
	"os"
	"strings"
	"sync"
	"testing"
)

// A guest that doesn't power off prevents the service from stopping. Only --force ends it.
func TestAServiceWhoseGuestsDontPowerOffCanBeForcedToStop(t *testing.T) {
	t.Parallel()
	var stops sync.WaitGroup
	t.Cleanup(stops.Wait)
	for name, late := range map[string]func(e *testEnv){
		"in a stop that is late": func(e *testEnv) { e.must(4, "svc", "stop", "--timeout=300ms") },
		"at once":                func(*testEnv) {},
		"after a crash":          func(e *testEnv) { e.killService() },
		"after a crash, in a stop that is late": func(e *testEnv) {
			e.killService()
			e.must(4, "svc", "stop", "--timeout=300ms")
		},
		"after a crash, while somebody else waits": func(e *testEnv) {
			e.killService()
			stops.Go(func() { e.run("svc", "stop") })
			e.eventually("the guest is asked to power off", func() bool {
				said, err := os.ReadFile(e.vm("demo").Events())
				return err == nil && strings.Contains(string(said), `"phase":"stop"`)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newTestEnv(t)
			e.setFake("qemu", "deaf")
			e.setFake("stop", "deaf")
			e.start()
			e.must(0, "vm", "create", "demo", e.template, "--start")
			late(e)
			if r := e.must(0, "svc", "stop", "--force"); !strings.Contains(r.err, "is lost") {
				t.Errorf("the command does not say that data may be lost: %q", r.err)
			}
			if left := e.processes(); len(left) > 0 {
				t.Error("the service is said to be stopped, but these run:", left)
			}
			disk := func() string {
				text, err := os.ReadFile(e.vm("demo").Dir() + "/disk")
				if err != nil {
					t.Error(err)
				}
				return strings.Join(strings.Fields(string(text)), " ")
			}
			if got := disk(); got != "made on" {
				t.Errorf("the guest was shut down cleanly: %q", got)
			}
			e.setFake("qemu", "")
			e.setFake("stop", "")
			e.start()
			e.must(0, "vm", "start", "demo")
			e.must(0, "svc", "restart") // without force
			if got := disk(); !strings.HasPrefix(got, "made on on off") {
				t.Errorf("the next stop was forced, too: %q", got)
			}
		})
	}
}
