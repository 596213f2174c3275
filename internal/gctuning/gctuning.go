// Package gctuning returns memory to the system early. After a burst of work, Go keeps the heap of the burst for minutes. The
// service and the tray, which are mostly idle, return it as soon as the burst has ended.
package gctuning

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const trimInterval = 10 * time.Second

// Trim returns unused memory to the system: immediately, and after each burst of work, until ctx ends. A process that allocates
// busy bytes within 10 s is in a burst. Trim also does it when the heap has grown by twice as much without a burst.
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

// usage is a sample of the heap's size, in bytes.
type usage struct {
	resident  uint64 // not returned to the system
	allocated uint64 // since the process began
}

// keeper decides at each sample whether to return memory. A new one does at the first.
type keeper struct {
	busy      uint64
	floor     uint64 // resident after the last return
	allocated uint64 // at the last sample
	burst     bool   // there was one since the last return
	settling  bool   // the last sample returned memory
}

// worthwhile reports whether to return memory now: a burst has ended, or the heap has grown much without one.
func (k *keeper) worthwhile(now usage) bool {
	first := k.floor == 0
	calm := first || now.allocated-k.allocated < k.busy
	k.allocated = now.allocated
	switch {
	case k.settling:
		// A return empties the allocator's caches. Go counts them as allocated when they are filled again, some 0.25 MiB per
		// processor, which is no burst.
		k.settling = false
		return false
	case !calm:
		k.burst = true
		return false
	}
	give := first || k.burst || now.resident >= k.floor+2*k.busy
	k.burst, k.settling = false, give
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
