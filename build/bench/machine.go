package main

import (
	"context"
	"fmt"
	"math"
	"os/exec"
	"runtime"
	"strings"
	"time"
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

// describe looks at the machine before anything is measured.
func describe(ctx context.Context, b *bench) machine {
	return machine{
		RDD:   firstLine(ctx, b.program("rdd"), "version"),
		Began: b.began.UTC(), Processor: processor(), Cores: runtime.NumCPU(), System: kernel(),
		MemoryGiB:  math.Round(float64(installedMemory())/(1<<30)*10) / 10,
		QEMU:       firstLine(ctx, "qemu-system-"+guestArch(), "--version"),
		LoadBefore: loadAverage(),
	}
}

// finish adds what is known at the end.
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

// firstLine is the first line that a command prints.
func firstLine(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return fmt.Sprintf("%s: %v", name[strings.LastIndexByte(name, '/')+1:], err)
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}

// guestArch is QEMU's name for this machine's processor.
func guestArch() string {
	switch runtime.GOARCH {
	case "amd64":
		return "x86_64"
	case "arm64":
		return "aarch64"
	}
	return runtime.GOARCH
}
