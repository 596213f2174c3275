package main

import "testing"

// idleMemory is how much anonymous memory, in bytes, an idle service without VMs may have. make bench measures it more
// exactly; this test fails when a change needs much more.
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
