package main

import "testing"

// idleMemory is the budget of anonymous memory, in bytes, of a service that idles without VMs. make bench measures
// it more closely; this fails when a change links or keeps much more.
const idleMemory = 36 << 20

func TestAnIdleServiceStaysSmall(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	pid := e.start().PID
	var now resources
	e.waitUntilSettled(func() bool { now = e.resourceUse(pid); return now.memory <= idleMemory })
	t.Logf("%.1f MiB", float64(now.memory)/(1<<20))
	if now.memory > idleMemory {
		t.Errorf("%d bytes of anonymous memory, more than %d", now.memory, idleMemory)
	}
}
