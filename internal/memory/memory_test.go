package memory

import "testing"

func TestWorthwhile(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		what             string
		floor, last, now uint64
		want             bool
	}{
		{"nothing happened", 20 * mib, 20 * mib, 20 * mib, false},
		{"a little garbage", 20 * mib, 22 * mib, 22 * mib, false},
		{"a burst under way", 20 * mib, 25 * mib, 32 * mib, false},
		{"a burst is over", 20 * mib, 32 * mib, 32 * mib, true},
		{"the collector was quicker", 20 * mib, 32 * mib, 20 * mib, false},
		{"garbage of a long time", 20 * mib, 23 * mib, 24 * mib, false},
		{"garbage of a long time, still", 20 * mib, 24*mib - 1, 24 * mib, true},
		{"the heap is smaller than ever", 20 * mib, 18 * mib, 18 * mib, false},
	} {
		if got := worthwhile(c.floor, c.last, c.now); got != c.want {
			t.Errorf("%s: worthwhile = %t, want %t", c.what, got, c.want)
		}
	}
}
