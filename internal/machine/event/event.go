// Package event defines what rdd-lima reads and writes: a Job on stdin, and events, one JSON object per line. The machine
// workers read the events from a pipe (prepare, remove) or from a file (hostagent).
package event

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"rancherdesktop.io/rdd/internal/diag"
)

// Phases of a preparation, a boot and a stop, in their order. They are part of the API and don't change.
const (
	Check        = "check"        // programs and configuration
	Image        = "image"        // download and verify the image
	Kernel       = "kernel"       // the same for a kernel
	Initrd       = "initrd"       // and for an initial RAM disk
	Containerd   = "containerd"   // and for containerd, when the template wants it
	Disk         = "disk"         // make or grow the disk
	Acceleration = "acceleration" // find out how guest code can run
	Leftover     = "leftover"     // end a QEMU whose hostagent has ended
	Configure    = "configure"    // write the files that the guest reads at boot
	Boot         = "boot"         // until the guest's SSH server answers
	Guest        = "guest"        // boot scripts, guest agent, port forwards
	Ready        = "ready"
	Stop         = "stop" // until the guest has powered off
)

// BootSteps is the number of steps of a boot: from Acceleration to Ready, without Leftover. The number of a preparation's
// steps varies.
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

// Problem returns the known problem that prevents hardware acceleration on this host, empty when there is none.
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

// Failure is why a command failed.
type Failure struct {
	Field     string `json:"field,omitempty"` // of the template
	Message   string `json:"message"`
	Permanent bool   `json:"permanent,omitempty"` // another attempt would fail, too
	Problem   string `json:"problem,omitempty"`   // ID of the known problem
	Advised   bool   `json:"advised,omitempty"`   // Message says what to do
}

// How a guest ended that nobody asked to stop.
const (
	PoweredOff = "poweroff" // it powered itself off
	Rebooted   = "reboot"   // it rebooted
	Panicked   = "panic"    // its kernel panicked
	Killed     = "killed"   // its QEMU crashed, or another program ended it
)

// Reasons of a Health.
const (
	Unresponsive = "Unresponsive" // the guest or QEMU does not answer
	Paused       = "Paused"       // QEMU has paused the guest; no data is lost
)

// Health is whether a guest that runs still answers; Reason is empty when it does.
type Health struct {
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// Where a Trouble comes from.
const (
	FromBoot       = "boot"       // scripts and probes of the template
	FromConnection = "connection" // shared folders and forwarded sockets, which need the SSH connection
	FromForward    = "forward"    // connections into the guest: Docker's, and those of forwarded ports
	FromPorts      = "ports"      // forwarded ports
	FromDisks      = "disks"      // disks that are nearly full
)

// Trouble lists what doesn't work in a VM that runs. It replaces the list that the same source has sent before.
type Trouble struct {
	Source   string   `json:"source"`
	Messages []string `json:"messages,omitempty"` // one per problem
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
	Said    string    `json:"said,omitempty"` // output of a program that explains why the step makes no progress

	OK      bool     `json:"ok,omitempty"`      // in the last event of a command that succeeded
	Failure *Failure `json:"failure,omitempty"` // in the last event of a command that failed

	// Only a hostagent writes the fields that follow.
	Nonce       string       `json:"nonce,omitempty"` // in the first event: identifies the run
	Accelerator *Accelerator `json:"accelerator,omitempty"`
	SSHPort     int32        `json:"sshPort,omitempty"`
	Running     bool         `json:"running,omitempty"`
	Degraded    []string     `json:"degraded,omitempty"` // with Running: what doesn't work
	Trouble     *Trouble     `json:"trouble,omitempty"`  // when it has changed
	Health      *Health      `json:"health,omitempty"`   // when it has changed
	Disks       []DiskUse    `json:"disks,omitempty"`    // all of them, when their use has changed by more than a little
	Ports       *Ports       `json:"ports,omitempty"`    // when some have changed
	Exiting     bool         `json:"exiting,omitempty"`
	Ended       string       `json:"ended,omitempty"` // with Exiting: how a guest ended that nobody asked to stop
}

// Writer writes events. It may be used by several goroutines.
type Writer struct {
	mu sync.Mutex
	w  io.Writer
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write writes one event. If it has no time, it gets the current one.
func (w *Writer) Write(e Event) error {
	if e.Time.IsZero() {
		e.Time = time.Now().UTC()
	}
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false) // people read these lines, too
	if err := enc.Encode(e); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.w.Write(line.Bytes())
	return err
}

// maxLine is the longest line that Read accepts.
const maxLine = 1 << 20

// Read calls f for each event of r, and other for each line that is not an event, until r ends.
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

// Job is what rdd-lima reads from stdin to validate a template or to prepare a VM. Values of params can be secret and contain
// any characters, so they are not on its command line.
type Job struct {
	Template string            `json:"template"`
	Params   map[string]string `json:"params,omitempty"`
	DataDisk int64             `json:"dataDisk,omitempty"` // its size in bytes; 0: none is asked for

	ReplaceSystemDisk bool `json:"replaceSystemDisk,omitempty"` // when the template has other images than it was made of
}

// Bytes encodes the job for stdin.
func (j Job) Bytes() ([]byte, error) { return json.Marshal(j) }

// ReadJob reads a job from r.
func ReadJob(r io.Reader) (Job, error) {
	var j Job
	if err := json.NewDecoder(r).Decode(&j); err != nil {
		return j, fmt.Errorf("read the template and its params from stdin: %w", err)
	}
	return j, nil
}
