//go:build linux

package desktoptest

import (
	"testing"

	gopsutil "github.com/shirou/gopsutil/v4/process"
)

// PSS is the memory of a process in MiB. What it shares with others counts in part, so it is less while
// programs of the same kind run.
func PSS(tb testing.TB, pid int) float64 {
	tb.Helper()
	p := gopsutil.Process{Pid: int32(pid)}
	maps, err := p.MemoryMaps(true)
	if err != nil {
		tb.Fatal(err)
	}
	return float64((*maps)[0].Pss) / 1024
}
