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

	"rancherdesktop.io/rdd/internal/testenv"
)

const (
	soakVMs    = 10
	soakCycles = 8 // of each VM
)

// How much more the service may have after 80 starts and stops. Go keeps a few idle threads and connections. Memory is
// returned to the system after about 20 s without activity (package gctuning).
const (
	slackGoroutines = 15
	slackFiles      = 8
	slackThreads    = soakVMs + 6 // as many as block at the same time, for example in the wait for a child
	slackMemory     = 8 << 20     // anonymous, in bytes
)

// resources are what a process has.
type resources struct {
	files, threads int
	memory         int64 // anonymous, in bytes
}

func TestSoakOfStartsAndStopsLeavesNothingInTheService(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	e.start()
	names := make([]string, soakVMs)
	for i := range names {
		names[i] = fmt.Sprintf("vm%d", i)
		e.must(0, "vm", "create", names[i], e.template)
	}
	e.soak(names, 2) // allocates what is kept forever
	goroutinesBefore := e.goroutines()

	e.start()
	e.soak(names, 2)
	pid := e.record().PID
	before := e.resourceUse(pid)
	began := time.Now()
	e.soak(names, soakCycles)
	t.Logf("%d cycles in %s", soakVMs*soakCycles, time.Since(began).Round(time.Second))
	var after resources
	e.waitUntilSettled(func() bool {
		after = e.resourceUse(pid)
		return after.files <= before.files+slackFiles && after.threads <= before.threads+slackThreads && after.memory <= before.memory+slackMemory
	})
	t.Logf("before %+v, after %+v", before, after)
	if now := e.record(); now.PID != pid {
		t.Fatal("the service has been replaced:", now)
	}
	goroutinesAfter := e.goroutines()
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

// soak starts and stops all VMs in parallel, each cycles times.
func (e *testEnv) soak(names []string, cycles int) {
	e.t.Helper()
	var all sync.WaitGroup
	for _, name := range names {
		all.Go(func() {
			for range cycles {
				for _, action := range []string{"start", "stop"} {
					if r := e.run("vm", action, name, "--progress", "quiet"); r.code != 0 {
						e.t.Errorf("%s %s: %+v", action, name, r)
						return
					}
				}
			}
		})
	}
	all.Wait()
	if e.t.Failed() {
		e.t.FailNow()
	}
}

// waitUntilSettled waits until ok, or for testenv.Timeout.
func (e *testEnv) waitUntilSettled(ok func() bool) {
	for late := time.Now().Add(testenv.Timeout); !ok() && time.Now().Before(late); {
		time.Sleep(100 * time.Millisecond)
	}
}

// resourceUse returns what a process has now.
func (e *testEnv) resourceUse(pid int) (u resources) {
	e.t.Helper()
	dir := fmt.Sprintf("/proc/%d", pid)
	files, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		e.t.Fatal(err)
	}
	threads, err := os.ReadDir(filepath.Join(dir, "task"))
	if err != nil {
		e.t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "smaps_rollup"))
	if err != nil {
		e.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Anonymous:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				e.t.Fatal(err)
			}
			u.memory = kib << 10
		}
	}
	u.files, u.threads = len(files), len(threads)
	return u
}

// goroutines ends the service by SIGQUIT, for which Go prints all goroutines, and counts them.
func (e *testEnv) goroutines() int {
	e.t.Helper()
	if err := syscall.Kill(e.record().PID, syscall.SIGQUIT); err != nil {
		e.t.Fatal(err)
	}
	e.eventually("the service has ended", func() bool { return !e.serviceRuns() })
	text, err := os.ReadFile(e.serviceOut())
	if err != nil {
		e.t.Fatal(err)
	}
	n := strings.Count("\n"+string(text), "\ngoroutine ")
	if n == 0 {
		e.t.Fatalf("it printed no goroutines: %s", text)
	}
	return n
}
