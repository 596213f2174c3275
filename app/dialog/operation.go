package dialog

import (
	"fmt"
	"time"
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
	Restart        Verb = "restart"
	Delete         Verb = "delete"
	Reset          Verb = "reset"
	Change         Verb = "change"
	Repair         Verb = "repair"
	Collect        Verb = "bundle"
)

// titles has each verb in words, for its object.
var titles = map[Verb]string{
	StartService:   "Start the service of instance %s",
	StopService:    "Stop the service of instance %s",
	RestartService: "Restart the service of instance %s",
	ResetService:   "Reset instance %s",
	DeleteService:  "Delete instance %s",
	Create:         "Create virtual machine %s",
	Start:          "Start virtual machine %s",
	Stop:           "Stop virtual machine %s",
	Restart:        "Restart virtual machine %s",
	Delete:         "Delete virtual machine %s",
	Reset:          "Reset virtual machine %s",
	Change:         "Change virtual machine %s",
	Repair:         "Repair instance %s",
	Collect:        "Collect files of instance %s",
}

// Title is an operation in words.
func Title(verb Verb, object string) string { return fmt.Sprintf(titles[verb], object) }

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
