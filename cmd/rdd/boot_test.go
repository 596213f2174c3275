package main

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// bootTest is a test that boots real guests.
type bootTest struct {
	name string
	run  func(*testing.T)
}

// bootTests are the boot tests that are not scripts.
var bootTests = []bootTest{{"in the browser", bootInTheBrowser}, {"the App in the browser", appInTheBrowser}}

// TestBoot boots real virtual machines with the guest that `make guest` built. It boots one at a time, in parallel with
// other tests: several emulated guests on a small machine would be so slow that none is ready in time.
func TestBoot(t *testing.T) {
	if testing.Short() {
		t.Skip("boots virtual machines")
	}
	need(t, filepath.Join(dist(t), "share", "rdd", "guest", "rdd-guest.yaml"), "make guest")
	t.Parallel()
	testscript.RunT(sequential{t}, scripts(t, "testdata/boot"))
	for _, b := range bootTests {
		t.Run(b.name, b.run)
	}
}

// sequential runs scripts one after another.
type sequential struct{ *testing.T }

func (sequential) Parallel()     {}
func (sequential) Verbose() bool { return testing.Verbose() }
func (o sequential) Run(name string, f func(testscript.T)) {
	o.T.Run(name, func(t *testing.T) { f(sequential{t}) })
}
