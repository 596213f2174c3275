package operation

import (
	"fmt"
	"time"

	"rancherdesktop.io/rdd/core"
)

// Verb is what an operation does.
type Verb string

// The verbs.
const (
	StartService   Verb = "start-service"
	StopService    Verb = "stop-service"
	RestartService Verb = "restart-service"
	ResetService   Verb = "reset-service"
	DeleteService  Verb = "delete-service"
	Create         Verb = "create"
	Start          Verb = "start"
	Stop           Verb = "stop"
	ForceStop      Verb = "force-stop"
	Restart        Verb = "restart"
	Delete         Verb = "delete"
	Reset          Verb = "reset"
	Change         Verb = "change"
	Repair         Verb = "repair"
	Restore        Verb = "restore"
)

// titles has each verb in words, for its object: a VM, or RDD itself, which stands for the default instance.
var titles = map[Verb]string{
	StartService:   "Start %s",
	StopService:    "Stop %s",
	RestartService: "Restart %s",
	ResetService:   "Reset %s",
	DeleteService:  "Delete %s",
	Repair:         "Repair %s",
	Restore:        "Restore %s from a backup",
	Create:         "Create virtual machine %s",
	Start:          "Start virtual machine %s",
	Stop:           "Stop virtual machine %s",
	ForceStop:      "Force stop virtual machine %s",
	Restart:        "Restart virtual machine %s",
	Delete:         "Delete virtual machine %s",
	Reset:          "Reset virtual machine %s",
	Change:         "Change virtual machine %s",
}

// OnService says whether the operation is one on the service, not on a VM.
func (v Verb) OnService() bool {
	switch v {
	case StartService, StopService, RestartService, ResetService, DeleteService, Repair, Restore:
		return true
	case Create, Start, Stop, ForceStop, Restart, Delete, Reset, Change:
	}
	return false
}

// replaces says whether an operation takes the place of an earlier one on the same object: it asks for another
// state of it, so that nobody has to wait for the earlier one any more.
func (v Verb) replaces() bool {
	switch v {
	case Change, Repair, Restore:
		return false
	case StartService, StopService, RestartService, ResetService, DeleteService, Create, Start, Stop, ForceStop, Restart, Delete, Reset:
	}
	return true
}

// Title is an operation in words.
func Title(verb Verb, object string) string {
	if verb.OnService() {
		if object == core.DefaultInstance {
			object = "RDD"
		} else {
			object = "RDD (" + object + ")"
		}
	}
	return fmt.Sprintf(titles[verb], object)
}

// State says how far an operation got.
type State string

// The states. The first two are those of an operation that somebody waits for.
const (
	Running   State = "running"
	Overdue   State = "overdue" // it runs, and its question is open
	Done      State = "done"
	Failed    State = "failed"
	Abandoned State = "abandoned" // the wait was ended, the operation continues
)

// Operation is one thing that was asked for, as a dialog and the status bar show it.
type Operation struct {
	ID         string    `json:"id"`
	Verb       Verb      `json:"verb"`
	Object     string    `json:"object"` // a VM's name, or the instance's
	Title      string    `json:"title"`
	State      State     `json:"state"`
	Progress   Progress  `json:"progress"`
	Started    time.Time `json:"started"`
	Background bool      `json:"background"`      // its dialog is out of the way
	Force      string    `json:"force,omitempty"` // what a forced stop may lose; empty: nothing can be forced
	Log        *Log      `json:"log,omitempty"`
	Problem    *Problem  `json:"problem,omitempty"` // when failed
	Fresh      bool      `json:"fresh,omitempty"`   // what a creation makes was not there before, so that canceling may delete it

	Extend time.Duration `json:"-"` // what Keep waiting adds
}

// Waited says whether somebody waits for the operation.
func (o Operation) Waited() bool { return o.State == Running || o.State == Overdue }

// Progress is the step under way.
type Progress struct {
	Phase   string  `json:"phase"`
	Step    int     `json:"step,omitempty"`
	Steps   int     `json:"steps,omitempty"`
	Bytes   int64   `json:"bytes,omitempty"`
	Total   int64   `json:"total,omitempty"`
	Message string  `json:"message,omitempty"`
	Elapsed float64 `json:"elapsed"` // seconds since the operation began
}

// Log is where more is to be read.
type Log struct {
	Source string `json:"source"` // service, hostagent, serial or events
	VM     string `json:"vm,omitempty"`
}

// Problem is a failure in a person's words.
type Problem struct {
	Kind    string `json:"kind"` // a core.Kind
	Message string `json:"message"`
	Advice  string `json:"advice,omitempty"` // what it means and what to do, of a known problem
	Field   string `json:"field,omitempty"`  // of the request, when that was wrong
	Log     string `json:"log,omitempty"`    // path of the log that has the rest
}
