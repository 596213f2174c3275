//go:build linux

package main

import (
	"os"
	"strings"
	"sync"
	"testing"
)

// A guest that doesn't power off keeps the service from stopping, until somebody forces it: nobody else does.
func TestAServiceWhoseGuestsDontObeyIsForcedToStop(t *testing.T) {
	t.Parallel()
	var stops sync.WaitGroup
	t.Cleanup(stops.Wait)
	for name, late := range map[string]func(b *box){
		"in a stop that is late": func(b *box) { b.must(4, "svc", "stop", "--timeout=300ms") },
		"at once":                func(*box) {},
		"after a crash":          func(b *box) { b.killService() },
		"after a crash, in a stop that is late": func(b *box) {
			b.killService()
			b.must(4, "svc", "stop", "--timeout=300ms")
		},
		"after a crash, while somebody else waits": func(b *box) {
			b.killService()
			stops.Go(func() { b.run("svc", "stop") })
			b.eventually("the guest is asked to power off", func() bool {
				said, err := os.ReadFile(b.vm("demo").Events())
				return err == nil && strings.Contains(string(said), `"phase":"stop"`)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t)
			b.set("qemu", "deaf")
			b.set("stop", "deaf")
			b.start()
			b.must(0, "vm", "create", "demo", b.template, "--start")
			late(b)
			if r := b.must(0, "svc", "stop", "--force"); !strings.Contains(r.err, "is lost") {
				t.Errorf("nobody was told what may be lost: %q", r.err)
			}
			if left := b.processes(); len(left) > 0 {
				t.Error("said stopped, and these live:", left)
			}
			disk := func() string {
				text, err := os.ReadFile(b.vm("demo").Dir() + "/disk")
				if err != nil {
					t.Error(err)
				}
				return strings.Join(strings.Fields(string(text)), " ")
			}
			if got := disk(); got != "made on" {
				t.Errorf("the guest was shut down in order: %q", got)
			}
			b.set("qemu", "")
			b.set("stop", "")
			b.start()
			b.must(0, "vm", "start", "demo")
			b.must(0, "svc", "restart") // which nobody forces
			if got := disk(); !strings.HasPrefix(got, "made on on off") {
				t.Errorf("the next stop was forced, too: %q", got)
			}
		})
	}
}
