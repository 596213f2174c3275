// Package event is what rdd-lima says while it works: one JSON object a line. The machine workers
// read it, from a pipe (prepare, remove) or from a file (hostagent).
package event

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"sync"
	"time"

	"rancherdesktop.io/rdd/internal/diag"
)

// Phases of a preparation, a boot and an end, in their order. They are stable words.
const (
	Check        = "check"        // programs and configuration
	Image        = "image"        // download and verify the image
	Kernel       = "kernel"       // the same for a kernel
	Initrd       = "initrd"       // and for an initial RAM disk
	Containerd   = "containerd"   // and for containerd, when the template wants it
	Disk         = "disk"         // make or grow the disk
	Acceleration = "acceleration" // find out how guest code can run
	Leftover     = "leftover"     // end a QEMU whose hostagent is gone
	Configure    = "configure"    // what the guest reads at boot
	Boot         = "boot"         // until its SSH server answers
	Guest        = "guest"        // boot scripts, agent, forwards
	Ready        = "ready"
	Stop         = "stop" // until the guest has powered off
)

// BootSteps is how many steps a boot has: from Acceleration to Ready, without Leftover. A preparation has as many
// as it needs.
const BootSteps = 5

// Accelerator is how guest code is run, and why.
type Accelerator struct {
	Name     string `json:"name"` // kvm, hvf, whpx or tcg
	Hardware bool   `json:"hardware"`
	Reason   string `json:"reason"` // CamelCase
	Message  string `json:"message"`
}

// Reasons of an Accelerator.
const (
	HardwareWorks       = "HardwareWorks"
	EmulationRequested  = "EmulationRequested"
	ForeignArchitecture = "ForeignArchitecture"
	NoHardwareDevice    = "NoHardwareDevice"
	NoPermission        = "NoPermission"
	HardwareHangs       = "HardwareHangs"
	HardwareBroken      = "HardwareBroken"
)

// Problem is the known problem that keeps this host from hardware acceleration; empty when none does.
func (a Accelerator) Problem() diag.ID {
	switch a.Reason {
	case NoPermission:
		return diag.AccelerationPermission
	case NoHardwareDevice:
		return diag.AccelerationMissing
	case HardwareHangs:
		return diag.AccelerationHangs
	case HardwareBroken:
		return diag.AccelerationBroken
	}
	return ""
}

// Failure is why the work ended early.
type Failure struct {
	Field     string `json:"field,omitempty"` // of the template
	Message   string `json:"message"`
	Permanent bool   `json:"permanent,omitempty"` // waiting doesn't help
	Problem   string `json:"problem,omitempty"`   // ID of the known problem that it is
	Advised   bool   `json:"advised,omitempty"`   // Message says what to do about that
}

// How a guest ended that nobody asked to stop.
const (
	PoweredOff = "poweroff" // by itself
	Rebooted   = "reboot"   // by itself
	Panicked   = "panic"    // its kernel gave up
	Killed     = "killed"   // its QEMU crashed, or was ended by somebody else
)

// Reasons of a Health.
const (
	Unresponsive = "Unresponsive" // the guest, or QEMU, does not answer
	Paused       = "Paused"       // the guest does not run, and nothing of it is lost
)

// Health is whether a guest that runs still answers; Reason is empty when it does.
type Health struct {
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// Where a Trouble comes from.
const (
	FromBoot       = "boot"       // scripts and probes of the template
	FromConnection = "connection" // what the host and the guest share over SSH
	FromPorts      = "ports"      // forwarded ports
)

// Trouble is what doesn't work in a VM that runs. It takes the place of what its source said before.
type Trouble struct {
	Source   string   `json:"source"`
	Messages []string `json:"messages,omitempty"` // one for each thing; none: all is well
}

// Event is one line. Fields that are not known are absent.
type Event struct {
	Time    time.Time `json:"time"`
	Phase   string    `json:"phase,omitempty"`
	Step    int32     `json:"step,omitempty"` // from 1 to Steps
	Steps   int32     `json:"steps,omitempty"`
	Bytes   int64     `json:"bytes,omitempty"`
	Total   int64     `json:"total,omitempty"` // 0: unknown
	Message string    `json:"message,omitempty"`
	Said    string    `json:"said,omitempty"` // a program's own words about why the step does not get on

	OK      bool     `json:"ok,omitempty"`      // the last line of work that succeeded
	Failure *Failure `json:"failure,omitempty"` // the last line of work that failed

	// A hostagent says these too.
	Nonce       string       `json:"nonce,omitempty"` // its first line: which run this file is about
	Accelerator *Accelerator `json:"accelerator,omitempty"`
	SSHPort     int32        `json:"sshPort,omitempty"`
	Running     bool         `json:"running,omitempty"`
	Degraded    []string     `json:"degraded,omitempty"` // with Running: what does not work
	Trouble     *Trouble     `json:"trouble,omitempty"`  // when it has changed
	Health      *Health      `json:"health,omitempty"`   // when it has changed
	Exiting     bool         `json:"exiting,omitempty"`
	Ended       string       `json:"ended,omitempty"` // with Exiting: how the guest ended that nobody asked to
}

// Writer writes events. It may be used by several goroutines.
type Writer struct {
	mu sync.Mutex
	w  io.Writer
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write writes one event, with the time if it has none.
func (w *Writer) Write(e Event) error {
	if e.Time.IsZero() {
		e.Time = time.Now().UTC()
	}
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false) // people read these lines too
	if err := enc.Encode(e); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.w.Write(line.Bytes())
	return err
}

// maxLine bounds what is kept of one line.
const maxLine = 1 << 20

// Read calls f for each event of r until r ends. Lines that are not events are given to other.
func Read(r io.Reader, f func(Event), other func(line string)) error {
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLine)
	for s.Scan() {
		if e, ok := Parse(s.Bytes()); ok {
			f(e)
		} else {
			other(s.Text())
		}
	}
	return s.Err()
}

// Parse reads one line; ok is false when it is not an event.
func Parse(line []byte) (e Event, ok bool) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] != '{' {
		return Event{}, false
	}
	err := json.Unmarshal(line, &e)
	return e, err == nil
}
