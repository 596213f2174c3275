package gctuning

import "testing"

func TestMemoryIsReturnedAfterABurst(t *testing.T) {
	const mib = 1 << 20
	k := keeper{busy: 2 * mib}
	for _, look := range []struct {
		what      string
		resident  uint64
		allocated uint64 // since the last look
		want      bool
	}{
		{"the first look", 21 * mib, 80 * mib, true},
		{"the caches are filled again", 20 * mib, 3 * mib, false},
		{"nothing happened", 20 * mib, 0, false},
		{"a little garbage", 22 * mib, mib, false},
		{"a burst under way", 27 * mib, 90 * mib, false},
		{"it goes on", 27 * mib, 90 * mib, false},
		{"it is over", 23 * mib, mib, true},
		{"nothing happened since", 20 * mib, 0, false},
		{"garbage of a long time", 23 * mib, mib, false},
		{"garbage of a long time, still", 24 * mib, mib, true},
		{"the heap is smaller than ever", 18 * mib, 0, false},
	} {
		if got := k.worthwhile(usage{look.resident, k.allocated + look.allocated}); got != look.want {
			t.Errorf("%s: worthwhile = %t, want %t", look.what, got, look.want)
		}
		if look.want {
			k.floor = 20 * mib
		}
	}
}
