// Package machine runs the virtual machines of one instance: one cancelable worker per VM, which drives
// rdd-lima and watches the VM's hostagent. The LimaVM controller observes its State and asks it to act.
package machine

import (
	"time"

	"rancherdesktop.io/rdd/internal/machine/event"
)

// Phase is what a VM on this host is doing.
type Phase string

// The phases. A worker begins in Unknown and leaves it once it has looked at the disk.
const (
	Unknown   Phase = ""
	Absent    Phase = "absent"    // nothing on disk
	Preparing Phase = "preparing" // disk and configuration are being made or brought up to date
	Stopped   Phase = "stopped"   // on disk, not running
	Starting  Phase = "starting"  // the hostagent lives, the guest does not answer yet
	Running   Phase = "running"   // the guest answers
	Stopping  Phase = "stopping"
	Removing  Phase = "removing"
)

// Action is work for a VM's worker.
type Action string

// The actions. Each replaces whatever the worker was doing.
const (
	None    Action = ""
	Prepare Action = "prepare" // make the disk and configuration
	Start   Action = "start"   // prepare, then boot
	Stop    Action = "stop"    // ask the guest to power off
	Kill    Action = "kill"    // end the VM at once; unwritten data is lost
	Remove  Action = "remove"  // stop at once, then remove the disks and configuration
)

// Request is an action with what it needs.
type Request struct {
	Action       Action
	Template     []byte            // the whole Lima template; Prepare and Start
	Params       map[string]string // values for the template's params
	DataDisk     int64             // size in bytes of the disk for data; 0: none is asked for
	Replace      bool              // replace the system disk when the template has other images than it was made of
	Acceleration string            // Auto, Hardware or Emulation
	KeepData     bool              // Remove: the VM is made again, so leave its data disk
}

// Failure says why the last action failed.
type Failure struct {
	Action    Action
	Message   string // what happened, what it means, what to do, where the log is
	Problem   string // ID of the known problem that it is; may be empty
	Permanent bool   // waiting doesn't help: invalid template, digest mismatch, no QEMU
	At        time.Time

	// The guest powered itself off or rebooted. That is not a crash.
	ByGuest bool
}

// ofStart reports whether f says why the VM does not run or exist.
func (f *Failure) ofStart() bool { return f != nil && (f.Action == Start || f.Action == Prepare) }

// Progress is the current step.
type Progress struct {
	Phase        string
	Step, Steps  int32
	Bytes, Total int64
	Message      string
	StartedAt    time.Time
}

// Accelerator is how guest code is run, and why. Name is empty while that is unknown.
type Accelerator = event.Accelerator

// Health is whether a guest that runs still answers. Reason is empty when it does.
type Health = event.Health

// Disk is a disk of a VM and its use.
type Disk = event.DiskUse

// Port is a port of the guest that is forwarded to this host, or should be.
type Port = event.Port

// State is what is known of a VM on this host.
type State struct {
	Phase       Phase
	Failure     *Failure // of the last action; nil once a later one began
	Progress    *Progress
	Accelerator Accelerator
	SSHPort     int32
	Problems    []string // with Running: what does not work, one sentence or more each; none when everything does
	Health      Health   // with Running: whether the guest answers now
	Ports       []Port   // with Running: the guest's ports that are forwarded or should be, in a stable order
	Found       string   // what an earlier service left of the VM and what this one did with it; kept until the VM is asked to stop
	Disks       []Disk   // system and data disk; while no guest runs, as the host sees them
	HasData     bool     // there is a data disk, also while the VM is Absent
	Exits       int      // crashes of a guest that ran, or of its hostagent, since this process began
}

// TemplateError says what Lima rejects in a template.
type TemplateError struct {
	Field   string // of the template, such as images[0].digest; empty when the error is not about one field
	Message string
}

func (e *TemplateError) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + ": " + e.Message
}
