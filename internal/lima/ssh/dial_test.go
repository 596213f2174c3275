//go:build !windows

package ssh

import (
	"slices"
	"testing"
	"time"
)

// A guest under emulation on a busy host took longer than 15 s to answer, while a new connection came each second:
// its server started and ended processes, and never answered one.
func TestSlowGuestIsNotKeptBusyWithConnections(t *testing.T) {
	var ends []time.Duration // of the attempts that wait for an answer
	for now := time.Duration(0); now < dialTimeout; {
		interval, limit := attemptTimes(now)
		ends = append(slices.DeleteFunc(ends, func(end time.Duration) bool { return end <= now }), now+limit)
		most := 16
		if now > time.Minute {
			most = 8
		}
		if len(ends) > most {
			t.Fatalf("%d connections wait after %s", len(ends), now)
		}
		if now < 20*time.Second && interval != time.Second || interval > max(time.Second, now/20) {
			t.Fatalf("the next attempt comes %s after one at %s", interval, now)
		}
		now += interval
	}
}
