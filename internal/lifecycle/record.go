package lifecycle

import (
	"errors"
	"fmt"
	"os"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/proc"
)

// Phase is how far a run of the service got. Phases only advance.
type Phase string

// The phases of a run.
const (
	Starting Phase = "starting"
	Ready    Phase = "ready"
	Stopping Phase = "stopping"
	Stopped  Phase = "stopped" // in order; a run that was killed never gets to say so
	Failed   Phase = "failed"
)

// Record is what a run says about itself.
type Record struct {
	Nonce   string `json:"nonce"`
	PID     int    `json:"pid"` // to signal only, and only while the lock is held; 0: its process has not said anything yet
	Version string `json:"version"`
	Phase   Phase  `json:"phase"`
	Step    string `json:"step,omitempty"`    // what it is doing while it starts or stops
	Error   string `json:"error,omitempty"`   // when failed
	Problem string `json:"problem,omitempty"` // ID of the known problem that the error is, if it says so
	Server  string `json:"server,omitempty"`  // URL, once it listens

	// Warning is what went wrong without ending the run, such as a backup that failed. Once said, it
	// stays to the end of the run.
	Warning string `json:"warning,omitempty"`

	// SearchPath is where the run looks for programs: its PATH.
	SearchPath string `json:"searchPath,omitempty"`
}

// Find returns the record of the live run, or false when none lives. It changes nothing. The record
// has no nonce while something else holds the lock: a run that is about to begin or to let go, or a
// command that changes the instance. What a dead run left is never returned,
// even if it can't be read: a living run writes its record whole.
func Find(inst instance.Instance) (Record, bool, error) {
	live, err := proc.Held(inst.LockFile())
	if !live || err != nil {
		return Record{}, false, err
	}
	rec, err := read(inst)
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
	if rec.PID == 0 && rec.Phase == Starting && asked(inst, rec.Nonce) {
		rec.Phase, rec.Step = Stopping, "it was asked to stop before it began" // which it will see first
	}
	return rec, true, nil
}

// Last returns the record of the newest run, dead or alive; the zero Record when there was none, or
// when it is damaged: the next run writes its own.
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
