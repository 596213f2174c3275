package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// memory is what a process has resident, in bytes.
type memory struct{ RSS, Anonymous int64 }

// readMemory sums up the process's mappings.
func readMemory(pid int) (m memory, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return m, err
	}
	m.RSS, err = field(b, "Rss:")
	if err == nil {
		m.Anonymous, err = field(b, "Anonymous:")
	}
	return memory{m.RSS * 1024, m.Anonymous * 1024}, err
}

// activity is what a process has done since it began.
type activity struct {
	At      time.Time
	CPU     time.Duration // of all its threads, also those that have ended
	Wakeups int64         // voluntary context switches of the threads that live
}

// readActivity asks the kernel's CPU clock of the process, which counts nanoseconds; the times in
// /proc/PID/stat count in hundredths of a second.
func readActivity(pid int) (a activity, err error) {
	const schedClock = 2 // CPUCLOCK_SCHED of a whole process; source: clock_getcpuclockid(3), linux/posix-timers.h
	var spent unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &spent); err != nil {
		return a, fmt.Errorf("read the CPU time of process %d: %w", pid, err)
	}
	a = activity{At: time.Now(), CPU: time.Duration(spent.Nano())}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		return a, err
	}
	for _, path := range threads {
		b, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue // the thread has just ended
		}
		if err != nil {
			return a, err
		}
		n, err := field(b, "voluntary_ctxt_switches:")
		if err != nil {
			return a, err
		}
		a.Wakeups += n
	}
	return a, nil
}

// field returns the number behind name at the beginning of a line.
func field(b []byte, name string) (int64, error) {
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 1 && fields[0] == name {
			return strconv.ParseInt(fields[1], 10, 64)
		}
	}
	return 0, fmt.Errorf("there is no %q", name)
}

// loadAverage is the mean number of processes that ran or wanted to, over the last minute.
func loadAverage() float64 {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(b), " ")
	load, _ := strconv.ParseFloat(first, 64)
	return load
}

// processor and kernel name the machine's.
func processor() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

func kernel() string {
	b, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return "Linux " + strings.TrimSpace(string(b))
}

// installedMemory in bytes; 0 when it can't be read.
func installedMemory() int64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	kib, _ := field(b, "MemTotal:")
	return kib * 1024
}
