package main

import (
	"strings"
	"testing"
)

// A stop right after the start that follows a crash met a run that had not adopted the running VMs yet. It reported success and
// left them running, and a deletion removed their files.
func TestStopRightAfterTheStartThatFollowsACrashStopsTheVMs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		stop string
		code int // of the status afterwards
	}{{"svc stop", 6}, {"svc stop --wait=false", 6}, {"svc reset", 6}, {"svc delete", 9}} {
		t.Run(tc.stop, func(t *testing.T) {
			t.Parallel()
			e := newTestEnv(t)
			e.start()
			e.must(0, "vm", "create", "demo", e.template, "--start")
			e.killService()
			e.must(0, "svc", "start", "--wait=false")
			e.must(0, strings.Fields(tc.stop)...)
			if strings.HasSuffix(tc.stop, "--wait=false") {
				e.eventually("the service has ended", func() bool { return !e.serviceRuns() })
			}
			e.eventually("nothing is left", func() bool { return len(e.processes()) == 0 })
			e.must(tc.code, "svc", "status")
			if tc.code != 9 {
				e.must(0, "svc", "stop")
			}
		})
	}
}
