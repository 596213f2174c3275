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

// Memory and CPU time of an idle tray, with a service that has three running VMs.
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
		time.Sleep(settleTime) // nothing happens meanwhile: that is measured
		b.ReportMetric(desktoptest.PSS(b, tray.Pid), "pss-MiB")
		began, before := time.Now(), processorTime(b, tray.Pid)
		time.Sleep(idleTime)
		spent, took := processorTime(b, tray.Pid)-before, time.Since(began)
		b.ReportMetric(100*spent.Seconds()/took.Seconds(), "cpu-%")
	}
	b.ReportMetric(0, "ns/op") // is meaningless here
}

// processorTime returns the CPU time of a process in nanoseconds; /proc counts hundredths of a second.
func processorTime(tb testing.TB, pid int) time.Duration {
	tb.Helper()
	const schedClock = 2 // CPUCLOCK_SCHED of a whole process; source: clock_getcpuclockid(3), linux/posix-timers.h
	var spent unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &spent); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(spent.Nano())
}

// The time until the panel has the new menu after a change of one of 50 VMs. Like real panels, it fetches the whole menu
// at each signal, which is several times for one VM.
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
			panel.LatestMenu() // all signals, before the next change
		}
		return at
	})
}
