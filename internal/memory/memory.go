// Package memory keeps a process small that mostly idles. After a burst of work Go holds on to the
// heap that the burst needed for minutes; the service gives it back once it is quiet.
package memory

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	interval = 10 * time.Second
	// slack is the growth, in bytes, that is worth a collection. Idling makes some 2 MiB of
	// garbage a minute.
	slack = 4 << 20
	// quiet is the growth within an interval up to which the process counts as quiet.
	quiet = 1 << 20
)

// Keep gives back what the process no longer needs: at once, and after each burst of work, until
// ctx ends.
func Keep(ctx context.Context) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	debug.FreeOSMemory()
	floor := resident()
	for last := floor; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := resident()
		if worthwhile(floor, last, now) {
			debug.FreeOSMemory()
			now = resident()
			floor = now
		}
		last = now
	}
}

// worthwhile says whether to give back, from the size of the heap after the last time, at the last
// look and now.
func worthwhile(floor, last, now uint64) bool { return now >= floor+slack && now < last+quiet }

// resident is the part of the heap that the kernel keeps in memory, in bytes.
func resident() (sum uint64) {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	for _, s := range samples {
		sum += s.Value.Uint64()
	}
	return sum
}
