package lifecycle

import (
	"errors"
	"fmt"
	"os"
	"time"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/proc"
)

// Phase is the phase of a run of the service. Phases only advance.
type Phase string

// The phases of a run.
const (
	Starting Phase = "starting"
	Ready    Phase = "ready"
	Stopping Phase = "stopping"
	Stopped  Phase = "stopped" // in order; a run that was killed never reaches this phase
	Failed   Phase = "failed"
)

// Record is what a run reports about itself.
type Record struct {
	Nonce   string `json:"nonce"`
	PID     int    `json:"pid"` // used only to signal the process while the lock is held; 0: the process has not reported yet
	Version string `json:"version"`
	Phase   Phase  `json:"phase"`
	Step    string `json:"step,omitempty"`    // what it is doing while it starts or stops
	Error   string `json:"error,omitempty"`   // when failed
	Problem string `json:"problem,omitempty"` // ID of the known problem, if the error is one
	Server  string `json:"server,omitempty"`  // URL, once it listens

	// Warning is what went wrong without ending the run, such as a failed backup. It stays in the record until the run
	// ends.
	Warning string `json:"warning,omitempty"`

	// SearchPath is the run's PATH, where it looks for programs.
	SearchPath string `json:"searchPath,omitempty"`
}

// Find returns the record of the live run; live is false when nothing has the instance. It changes nothing. The record has no
// nonce while something other than a run holds the lock: a run that is about to begin or has ended, or a command that changes
// the instance. Find never returns the record of a dead run. A damaged record is one, because a live run replaces its record
// atomically.
func Find(inst instance.Instance) (rec Record, live bool, err error) {
	live, err = proc.Held(inst.LockFile())
	if !live || err != nil {
		return Record{}, false, err
	}
	rec, err = read(inst)
	if _, damaged := errors.AsType[*atomicfile.DamagedError](err); damaged || err == nil && rec.Nonce == "" {
		return Record{}, true, nil
	}
	if err != nil {
		return Record{}, true, err
	}
	author, err := proc.Held(inst.RunLock(rec.Nonce))
	if !author || err != nil {
		return Record{}, true, err
	}
	if rec.PID == 0 && rec.Phase == Starting && stopRequested(inst, rec.Nonce) {
		rec.Phase, rec.Step = Stopping, "it was asked to stop before it began" // the process will read the request first
	}
	return rec, true, nil
}

// Last returns the record of the newest run, dead or alive. It returns the zero Record when there was no run, or when the
// record is damaged, because the next run replaces it.
func Last(inst instance.Instance) (Record, error) {
	r, err := read(inst)
	if _, damaged := errors.AsType[*atomicfile.DamagedError](err); damaged {
		return Record{}, nil
	}
	return r, err
}

func read(inst instance.Instance) (r Record, err error) {
	err = atomicfile.ReadJSON(inst.RecordFile(), &r)
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return Record{}, fmt.Errorf("read the service's record %s: %w", inst.RecordFile(), err)
	}
	return r, nil
}

// HelloPath is where a run's server tells an authenticated client which run it is.
const HelloPath = "/rdd/hello"

// Protocol is the version of the protocol between clients and service. It changes when an older client would misunderstand a
// newer service, or the other way round.
const Protocol = 1

// Greeting is the answer at HelloPath.
type Greeting struct {
	Nonce    string `json:"nonce"`
	Version  string `json:"version"`
	Protocol int    `json:"protocol"`
}

// Backup is a backup of an instance's datastore, as rddd describes it to the core.
type Backup struct {
	Name    string    `json:"name"`
	Time    time.Time `json:"time"`
	Size    int64     `json:"size"` // bytes
	Path    string    `json:"path"`
	VMs     []string  `json:"vms"`               // names of the VMs in it
	Problem string    `json:"problem,omitempty"` // why it can't be restored
}

// Restored is the result of a restore.
type Restored struct {
	Backup  Backup   `json:"backup"`
	Skipped []Backup `json:"skipped,omitempty"` // newer ones that are damaged
	Aside   string   `json:"aside,omitempty"`   // path of the replaced datastore

	// A restore doesn't change disks: Unknown VMs have a disk and are not in the backup, Diskless VMs are in the backup and
	// have no disk.
	Unknown  []string `json:"unknown"`
	Diskless []string `json:"diskless"`
}
