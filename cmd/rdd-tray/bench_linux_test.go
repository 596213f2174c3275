package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rancherdesktop.io/rdd/internal/desktoptest"
)

const (
	settleTime = 30 * time.Second
	idleTime   = 60 * time.Second
)

// What a tray costs that nobody uses, beside a service with three VMs that run.
func BenchmarkTrayIdle(b *testing.B) {
	e := newTestEnv(b)
	panel := e.Bus.Panel()
	e.RDD("svc", "start")
	for _, name := range []string{"one", "two", "three"} {
		e.RDD("vm", "create", name, e.Template, "--start")
	}
	tray := e.tray()
	panel.AwaitTray()
	waitForMenu(panel, "3 of 3 virtual machines running")
	for b.Loop() {
		time.Sleep(settleTime) // what is measured is that nothing happens
		b.ReportMetric(desktoptest.PSS(b, tray.Pid), "pss-MiB")
		began, before := time.Now(), processorTime(b, tray.Pid)
		time.Sleep(idleTime)
		spent, took := processorTime(b, tray.Pid)-before, time.Since(began)
		b.ReportMetric(100*spent.Seconds()/took.Seconds(), "cpu-%")
	}
	b.ReportMetric(0, "ns/op") // says nothing
}

// processorTime is what a process has used, to the nanosecond; /proc counts hundredths of a second.
func processorTime(tb testing.TB, pid int) time.Duration {
	tb.Helper()
	const schedClock = 2 // CPUCLOCK_SCHED of a whole process; source: clock_getcpuclockid(3), linux/posix-timers.h
	var spent unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &spent); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(spent.Nano())
}

// How soon the panel has the new menu when VMs have changed, of 50. It asks for the whole menu whenever it is told
// that something is new, as panels do: for one VM that is several times.
func BenchmarkTrayChange(b *testing.B) {
	e := newTestEnv(b)
	panel := e.Bus.Panel()
	e.RDD("svc", "create", "--controllers=-limavm")
	e.RDD("svc", "start")
	fleet := desktoptest.NewFakeVMs(b, filepath.Join(e.Home, ".rdd", "default", "kube.config"), 50)
	e.tray()
	panel.AwaitTray()
	waitForMenu(panel, "vm-49: stopped\n")
	fleet.Benchmark(b, func(states map[string]string) time.Time {
		at := panel.AwaitChange("it has the new states", func(menu string) bool {
			for name, state := range states {
				if !strings.Contains(menu, name+": "+strings.ToLower(state)+"\n") {
					return false
				}
			}
			return true
		})
		for len(panel.Changes) > 0 {
			panel.LatestMenu() // before anything else changes
		}
		return at
	})
}
