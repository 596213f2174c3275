package operation

import (
	"fmt"
	"time"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/diagnose"
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
	StartApp       Verb = "start-app"
	StopApp        Verb = "stop-app"
	ForceStopApp   Verb = "force-stop-app"
	RestartApp     Verb = "restart-app"
	ResetApp       Verb = "reset-app"
	DeleteApp      Verb = "delete-app"
	ChangeApp      Verb = "change-app"
	PullImage      Verb = "pull-image"
	PushImage      Verb = "push-image"
	BuildImage     Verb = "build-image"
	LoadImages     Verb = "load-images"
	SaveImages     Verb = "save-images"
	Prune          Verb = "prune"
)

// verbs describes the verbs.
var verbs = map[Verb]struct {
	title     string // with %s for the object
	onService bool   // the object is the instance
	onApp     bool   // the object is the App
	onEngine  bool   // the object is one of the engine, and this program does the work; else, a VM
	beside    bool   // runs beside other operations on its object
	boots     bool   // boots a guest
	stops     bool   // stops guests
	log       string // of a VM, which is shown with the operation; outputSource: its own output
	phase     string // what this program does with the engine
}{
	StartService:   {title: "Start %s", onService: true},
	StopService:    {title: "Stop %s", onService: true, stops: true},
	RestartService: {title: "Restart %s", onService: true, stops: true},
	ResetService:   {title: "Reset %s", onService: true, stops: true},
	DeleteService:  {title: "Delete %s", onService: true, stops: true},
	Repair:         {title: "Repair %s", onService: true, beside: true},
	Restore:        {title: "Restore %s from a backup", onService: true, beside: true},
	Create:         {title: "Create virtual machine %s", boots: true, log: core.LogHostagent},
	Start:          {title: "Start virtual machine %s", boots: true, log: core.LogSerial},
	Stop:           {title: "Stop virtual machine %s", stops: true, log: core.LogHostagent},
	ForceStop:      {title: "Force stop virtual machine %s", log: core.LogHostagent},
	Restart:        {title: "Restart virtual machine %s", stops: true, log: core.LogSerial},
	Delete:         {title: "Delete virtual machine %s", stops: true, log: core.LogHostagent},
	Reset:          {title: "Reset virtual machine %s", stops: true, log: core.LogSerial},
	Change:         {title: "Change virtual machine %s", beside: true, log: core.LogHostagent},
	StartApp:       {title: "Start the container engine", onApp: true, boots: true, log: core.LogSerial},
	StopApp:        {title: "Stop the container engine", onApp: true, stops: true, log: core.LogHostagent},
	ForceStopApp:   {title: "Force stop the container engine", onApp: true, log: core.LogHostagent},
	RestartApp:     {title: "Restart the container engine", onApp: true, stops: true, log: core.LogSerial},
	ResetApp:       {title: "Reset the virtual machine of the container engine", onApp: true, stops: true, log: core.LogSerial},
	DeleteApp:      {title: "Delete the container engine", onApp: true, stops: true, log: core.LogHostagent},
	ChangeApp:      {title: "Change the settings of the container engine", onApp: true, beside: true, log: core.LogHostagent},
	PullImage:      {title: "Pull %s", onEngine: true, phase: "pull"},
	PushImage:      {title: "Push %s", onEngine: true, phase: "push"},
	BuildImage:     {title: "Build %s", onEngine: true, phase: "build", log: outputSource},
	LoadImages:     {title: "Load images from %s", onEngine: true, phase: "load"},
	SaveImages:     {title: "Save images to %s", onEngine: true, phase: "save"},
	Prune:          {title: "Prune %s", onEngine: true, phase: "prune"},
}

// OnService reports whether it is an operation on the service.
func (v Verb) OnService() bool { return verbs[v].onService }

// OnApp reports whether it is an operation on the App.
func (v Verb) OnApp() bool { return verbs[v].onApp }

// OnEngine reports whether it is work that this program does with the container engine, so that it can be canceled.
func (v Verb) OnEngine() bool { return verbs[v].onEngine }

// OnVM reports whether it is an operation on a VM.
func (v Verb) OnVM() bool { return verbs[v].log != "" && !verbs[v].onApp && !verbs[v].onEngine }

// replaces reports whether nobody waits for an earlier operation on the same object once this one begins, because
// this one asks for another state of the object.
func (v Verb) replaces(earlier Verb) bool {
	if v.OnEngine() || earlier.OnEngine() {
		return v == earlier // is the same operation
	}
	return v.OnService() == earlier.OnService() && v.OnApp() == earlier.OnApp() && !verbs[v].beside && !verbs[earlier].beside
}

// Title describes an operation. RDD stands for the default instance.
func Title(verb Verb, object string) string {
	switch {
	case verb.OnApp():
		return verbs[verb].title
	case verb.OnService():
		if object == core.DefaultInstance {
			object = "RDD"
		} else {
			object = "RDD (" + object + ")"
		}
	}
	return fmt.Sprintf(verbs[verb].title, object)
}

// State is the state of an operation.
type State string

// The states. An operation that is running or overdue is waited for.
const (
	Running   State = "running"
	Overdue   State = "overdue" // it is running, and the user is asked whether to wait longer
	Done      State = "done"
	Failed    State = "failed"
	Abandoned State = "abandoned" // the wait was ended, the operation continues
	Canceled  State = "canceled"  // the user has ended the operation
)

// Operation is one operation, as a dialog and the status bar show it.
type Operation struct {
	ID         string    `json:"id"`
	Verb       Verb      `json:"verb"`
	Object     string    `json:"object"` // a VM's name, or the instance's, or that of the App: app; an image, a file, or what is pruned
	Title      string    `json:"title"`
	State      State     `json:"state"`
	Progress   Progress  `json:"progress"`
	Started    time.Time `json:"started"`
	Background bool      `json:"background"`      // its dialog is hidden
	Force      string    `json:"force,omitempty"` // what a forced stop may lose; empty: the operation can't be forced
	Log        *Log      `json:"log,omitempty"`
	Problem    *Problem  `json:"problem,omitempty"` // when failed
	Result     *Result   `json:"result,omitempty"`  // when done
	Fresh      bool      `json:"fresh,omitempty"`   // of a creation: no VM of this name existed before, so canceling may delete it

	Extend time.Duration `json:"-"` // what Keep waiting adds
}

// Waited reports whether the operation is waited for.
func (o Operation) Waited() bool { return o.State == Running || o.State == Overdue }

// Progress is the current step.
type Progress struct {
	Phase   string  `json:"phase"`
	Step    int     `json:"step,omitempty"`
	Steps   int     `json:"steps,omitempty"`
	Bytes   int64   `json:"bytes,omitempty"`
	Total   int64   `json:"total,omitempty"`
	Message string  `json:"message,omitempty"`
	Elapsed float64 `json:"elapsed"` // seconds since the operation began
	Parts   []Part  `json:"parts,omitempty"`
}

// Log names the log of an operation.
type Log struct {
	Source    string `json:"source"` // service, hostagent, serial, events, or operation
	VM        string `json:"vm,omitempty"`
	Operation string `json:"operation,omitempty"` // its ID, of the source operation
}

// Problem is a failure, described for a person.
type Problem struct {
	Kind    string `json:"kind"` // a core.Kind
	Message string `json:"message"`
	Advice  string `json:"advice,omitempty"` // of a known problem: what it means and what to do
	Field   string `json:"field,omitempty"`  // the field of the request that is wrong
	Log     string `json:"log,omitempty"`    // path of the log that has the rest
}

// ProblemOf describes an error: what happened and, if the problem is known, what it means and what to do.
func ProblemOf(err error) *Problem {
	p := &Problem{Kind: core.KindOf(err).String()}
	p.Message, p.Advice = diagnose.Explain(err.Error())
	if p.Advice == "" {
		p.Advice = diagnose.Advice(err)
	}
	return p
}
