package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/shirou/gopsutil/v4/process"
	"golang.org/x/sys/unix"
)

func readMemory(pid int) (memory, error) {
	mappings, err := (&process.Process{Pid: int32(pid)}).MemoryMaps(true)
	if err != nil {
		return memory{}, err
	}
	sum := (*mappings)[0] // in KiB
	return memory{RSS: int64(sum.Rss) << 10, Anonymous: int64(sum.Anonymous) << 10}, nil
}

// readActivity reads the CPU clock of the process, which counts nanoseconds; the times in /proc/PID/stat count
// hundredths of a second.
func readActivity(pid int) (activity, error) {
	const schedClock = 2 // CPUCLOCK_SCHED of a whole process; source: clock_getcpuclockid(3), linux/posix-timers.h
	var spent unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &spent); err != nil {
		return activity{}, fmt.Errorf("read the CPU time of process %d: %w", pid, err)
	}
	a := activity{At: time.Now(), CPU: time.Duration(spent.Nano())}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return a, err
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			return a, err
		}
		switches, err := (&process.Process{Pid: int32(id)}).NumCtxSwitches()
		if errors.Is(err, os.ErrNotExist) {
			continue // the thread has just ended
		}
		if err != nil {
			return a, err
		}
		a.Wakeups += switches.Voluntary
	}
	return a, nil
}
