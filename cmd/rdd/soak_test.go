//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	soakVMs    = 10
	soakCycles = 8 // of each VM
)

// What 80 starts and stops may leave in the service. Go keeps a few idle threads and connections, and
// a heap that has grown is given back within some 20 s of quiet (package memory).
const (
	slackGoroutines = 15
	slackFiles      = 8
	slackThreads    = 6
	slackMemory     = 8 << 20 // anonymous, in bytes
)

// use is what a process holds.
type use struct {
	files, threads int
	memory         int64 // anonymous, in bytes
}

func TestSoakOfStartsAndStopsLeavesNothingInTheService(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.start()
	names := make([]string, soakVMs)
	for i := range names {
		names[i] = fmt.Sprintf("vm%d", i)
		b.must(0, "vm", "create", names[i], b.template)
	}
	b.soak(names, 2) // what is made once and kept
	goroutinesBefore := b.goroutines()

	b.start()
	b.soak(names, 2)
	pid := b.record().PID
	before := b.use(pid)
	began := time.Now()
	b.soak(names, soakCycles)
	t.Logf("%d cycles in %s", soakVMs*soakCycles, time.Since(began).Round(time.Second))
	var after use
	b.settles(func() bool {
		after = b.use(pid)
		return after.files <= before.files+slackFiles && after.threads <= before.threads+slackThreads && after.memory <= before.memory+slackMemory
	})
	t.Logf("before %+v, after %+v", before, after)
	if now := b.record(); now.PID != pid {
		t.Fatal("the service has been replaced:", now)
	}
	goroutinesAfter := b.goroutines()
	t.Logf("goroutines: %d before, %d after", goroutinesBefore, goroutinesAfter)
	switch {
	case after.files > before.files+slackFiles:
		t.Error("files are left open")
	case after.threads > before.threads+slackThreads:
		t.Error("threads are left")
	case after.memory > before.memory+slackMemory:
		t.Error("memory is not given back")
	case goroutinesAfter > goroutinesBefore+slackGoroutines:
		t.Error("goroutines are left")
	}
}

// soak starts and stops all VMs at the same time, that many times each.
func (b *box) soak(names []string, cycles int) {
	b.t.Helper()
	var all sync.WaitGroup
	for _, name := range names {
		all.Go(func() {
			for range cycles {
				for _, action := range []string{"start", "stop"} {
					if r := b.run("vm", action, name, "--progress", "quiet"); r.code != 0 {
						b.t.Errorf("%s %s: %+v", action, name, r)
						return
					}
				}
			}
		})
	}
	all.Wait()
	if b.t.Failed() {
		b.t.FailNow()
	}
}

// settles waits until ok, at most as long as the service may take to give memory back.
func (b *box) settles(ok func() bool) {
	for late := time.Now().Add(hang); !ok() && time.Now().Before(late); {
		time.Sleep(100 * time.Millisecond)
	}
}

// use looks at what the process holds.
func (b *box) use(pid int) (u use) {
	b.t.Helper()
	dir := fmt.Sprintf("/proc/%d", pid)
	files, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		b.t.Fatal(err)
	}
	threads, err := os.ReadDir(filepath.Join(dir, "task"))
	if err != nil {
		b.t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "smaps_rollup"))
	if err != nil {
		b.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Anonymous:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				b.t.Fatal(err)
			}
			u.memory = kib << 10
		}
	}
	u.files, u.threads = len(files), len(threads)
	return u
}

// goroutines counts those of the service, which SIGQUIT makes Go print as it ends the process.
func (b *box) goroutines() int {
	b.t.Helper()
	if err := syscall.Kill(b.record().PID, syscall.SIGQUIT); err != nil {
		b.t.Fatal(err)
	}
	b.eventually("the service has ended", func() bool { return !b.living() })
	text, err := os.ReadFile(b.output())
	if err != nil {
		b.t.Fatal(err)
	}
	n := strings.Count("\n"+string(text), "\ngoroutine ")
	if n == 0 {
		b.t.Fatalf("it printed no goroutines: %s", text)
	}
	return n
}
