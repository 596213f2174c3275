package main

import (
	"context"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/load"

	"rancherdesktop.io/rdd/internal/host"
)

// machine is what the figures depend on.
type machine struct {
	RDD        string    `json:"rdd"`
	Began      time.Time `json:"began"`
	Minutes    float64   `json:"minutes"`
	Processor  string    `json:"processor"`
	Cores      int       `json:"cores"`
	MemoryGiB  float64   `json:"memoryGiB"`
	System     string    `json:"system"`
	QEMU       string    `json:"qemu"`
	Guests     string    `json:"guests"` // what runs the guests' code
	LoadBefore float64   `json:"loadBefore"`
	LoadAfter  float64   `json:"loadAfter"`
}

// describe returns what is known of the machine before anything is measured.
func describe(ctx context.Context, b *bench) machine {
	qemu := map[string]string{"amd64": "qemu-system-x86_64", "arm64": "qemu-system-aarch64"}[runtime.GOARCH]
	m := machine{
		RDD: firstLine(ctx, b.rdd, "version"), System: firstLine(ctx, "uname", "-sr"), QEMU: firstLine(ctx, qemu, "--version"),
		Began: b.began.UTC(), Processor: "unknown processor", Cores: runtime.NumCPU(), LoadBefore: loadAverage(),
	}
	if processors, err := cpu.InfoWithContext(ctx); err == nil && len(processors) > 0 {
		m.Processor = processors[0].ModelName
	}
	if memory, err := host.MemoryOf(); err == nil {
		m.MemoryGiB = math.Round(float64(memory.Total)/(1<<30)*10) / 10
	}
	return m
}

// finish adds what is known after everything was measured.
func (m *machine) finish(b *bench) {
	m.Minutes = math.Round(time.Since(b.began).Minutes()*10) / 10
	m.LoadAfter = loadAverage()
	m.Guests = b.guests
	if m.Guests == "" {
		m.Guests = "no guest was run"
	}
}

func (m machine) String() string {
	return fmt.Sprintf("%s\n%s, %.1f minutes; load average %.2f before, %.2f after (beside each figure: the median during its runs)\n%d × %s, %.1f GiB, %s\n%s; guests: %s",
		m.RDD, m.Began.Format("2006-01-02 15:04 MST"), m.Minutes, m.LoadBefore, m.LoadAfter, m.Cores, m.Processor, m.MemoryGiB, m.System, m.QEMU, m.Guests)
}

// firstLine returns the first line that a command prints, or why there is none.
func firstLine(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return fmt.Sprintf("%s: %v", filepath.Base(name), err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}

// loadAverage returns the mean number of processes that ran, or were ready to run, over the last minute; 0 when the
// system doesn't say.
func loadAverage() float64 {
	average, err := load.Avg()
	if err != nil {
		return 0
	}
	return average.Load1
}
