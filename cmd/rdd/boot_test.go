package main

import (
	"cmp"
	"path/filepath"
	"slices"
	"sync"
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

// bootLanes is how many boot tests run at once. More emulated guests on a small machine would be so slow that none is ready
// in time.
const bootLanes = 2

// longBootTests are the tests that take longest, in that order. They run first, so that at the end no lane runs alone for long.
var longBootTests = []string{"clients", "storm", "app-faults", "the App in the browser", "containerd", "app-guest"}

// TestBoot boots real virtual machines with the guest that `make guest` built, in parallel with other tests.
func TestBoot(t *testing.T) {
	if testing.Short() {
		t.Skip("boots virtual machines")
	}
	need(t, filepath.Join(dist(t), "share", "rdd", "guest", "rdd-guest.yaml"), "make guest")
	t.Parallel()
	tests := &scriptQueue{T: t}
	testscript.RunT(tests, scripts(t, "testdata/boot"))
	queue := slices.Concat(bootTests, tests.queue)
	rank := func(b bootTest) int {
		if i := slices.Index(longBootTests, b.name); i >= 0 {
			return i
		}
		return len(longBootTests)
	}
	slices.SortStableFunc(queue, func(a, b bootTest) int { return cmp.Compare(rank(a), rank(b)) })
	next := make(chan bootTest, len(queue))
	for _, b := range queue {
		next <- b
	}
	close(next)
	var lanes sync.WaitGroup // not parallel subtests, which begin only after most other tests of the package
	for range bootLanes {
		lanes.Go(func() {
			for b := range next {
				t.Run(b.name, b.run)
			}
		})
	}
	lanes.Wait()
}

// scriptQueue queues scripts instead of running them.
type scriptQueue struct {
	*testing.T
	queue []bootTest
}

func (*scriptQueue) Parallel()     {}
func (*scriptQueue) Verbose() bool { return testing.Verbose() }
func (q *scriptQueue) Run(name string, run func(testscript.T)) {
	q.queue = append(q.queue, bootTest{name, func(t *testing.T) { run(&scriptQueue{T: t}) }})
}
