// Package gctuning keeps a process small that mostly idles. After a burst of work Go holds on to the
// heap that the burst needed for minutes; the service and the tray give it back once they are quiet.
package gctuning

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const trimInterval = 10 * time.Second

// Trim gives back what the process no longer needs: at once, and after each burst of work, until
// ctx ends. A process that allocates busy bytes within 10 s counts as busy; twice as much growth is
// worth a collection even without a burst.
func Trim(ctx context.Context, busy uint64) {
	tick := time.NewTicker(trimInterval)
	defer tick.Stop()
	k := keeper{busy: busy}
	for now := measure(); ; now = measure() {
		if k.worthwhile(now) {
			debug.FreeOSMemory()
			dropText()
			k.floor = measure().resident
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// usage is what the heap takes at one look, in bytes.
type usage struct {
	resident  uint64 // kept in memory by the kernel
	allocated uint64 // since the process began
}

// keeper decides at each look whether to give back. A new one does at its first.
type keeper struct {
	busy      uint64
	floor     uint64 // resident after the last time
	allocated uint64 // at the last look
	burst     bool   // there was one since the last time
}

// worthwhile says whether to give back now: when a burst has ended, or much has piled up without one.
func (k *keeper) worthwhile(now usage) bool {
	first := k.floor == 0
	calm := first || now.allocated-k.allocated < k.busy
	k.allocated = now.allocated
	if !calm {
		k.burst = true
		return false
	}
	give := first || k.burst || now.resident >= k.floor+2*k.busy
	k.burst = false
	return give
}

func measure() (u usage) {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	u.allocated = samples[0].Value.Uint64()
	for _, s := range samples[1:] {
		u.resident += s.Value.Uint64()
	}
	return u
}
