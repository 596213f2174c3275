package tray

import (
	"context"
	"strconv"
	"sync/atomic"

	"rancherdesktop.io/rdd/app/notify"
	"rancherdesktop.io/rdd/app/operation"
	"rancherdesktop.io/rdd/core"
)

// Operator carries out clicks, and shows in notifications how it goes.
type Operator struct {
	Core  *core.Core
	Notes notify.Notifier
	// Open opens the window with these arguments and returns when it has ended.
	Open func(args ...string) error
	// Quit ends the tray.
	Quit func()
	// LoginChanged is called when what starts at login may have changed.
	LoginChanged func()

	engine   *operation.Engine
	notifier *operation.Notifier
	changed  chan struct{} // the operations have changed
}

// Prepare gets the operator ready for clicks, whose operations are waited for until ctx ends.
func (o *Operator) Prepare(ctx context.Context) {
	o.changed = make(chan struct{}, 1)
	ids := atomic.Int64{}
	o.engine = operation.New(operation.Options{
		Core:  o.Core,
		Go:    func(job func(context.Context)) error { go job(ctx); return nil },
		NewID: func() string { return strconv.FormatInt(ids.Add(1), 10) },
		Changed: func() {
			select {
			case o.changed <- struct{}{}:
			default:
			}
		},
	})
	o.notifier = &operation.Notifier{
		Notes: o.Notes, Progress: true,
		Show:   func(op operation.Operation) { o.open("--operation", string(op.Verb)+"/"+op.Object) },
		Answer: func(id string, a operation.Answer) { _ = o.engine.Answer(id, a) }, // it may have ended meanwhile
	}
}

// ShowOperations shows the operations of clicks in notifications until ctx ends.
func (o *Operator) ShowOperations(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.changed:
			o.notifier.Look(o.engine.List())
		}
	}
}

// Click carries out what a click on an item asks for. It does not wait for it.
func (o *Operator) Click(ctx context.Context, id ID) {
	switch id.Verb {
	case Open:
		o.open()
	case Settings:
		o.open("--page", "settings")
	case Diagnostics:
		o.open("--page", "diagnostics")
	case Shell:
		o.open("--page", "vm/"+id.VM+"/shell")
	case Logs:
		o.open("--page", "vm/"+id.VM+"/logs")
	case Login:
		go o.login()
	case Quit:
		go o.quit(ctx)
	case ForceService:
		go o.forceService()
	case said, rule, machine, several:
	default:
		if w, ok := o.work(id); ok {
			_, _ = o.engine.Begin(w) // fails only when the tray ends
		}
	}
}

func (o *Operator) open(args ...string) {
	go func() {
		if err := o.Open(args...); err != nil {
			o.failed("The window did not open", err)
		}
	}()
}

// forceService ends all guests at once in the stop that is under way.
func (o *Operator) forceService() {
	if err := o.Core.Service().Force(); err != nil {
		o.failed("The virtual machines were not forced to stop", err)
	}
}

func (o *Operator) login() {
	var err error
	if startsAtLogin(o.Core) {
		_, err = o.Core.Login().Uninstall()
	} else {
		_, err = o.Core.Login().Install()
	}
	if err != nil {
		o.failed("Start at login was not changed", err)
	}
	o.LoginChanged()
}

// startsAtLogin says whether everything does.
func startsAtLogin(c *core.Core) bool {
	for _, part := range c.Login().Status() {
		if !part.Installed {
			return false
		}
	}
	return true
}

// work is what a click does to the service or to a VM.
func (o *Operator) work(id ID) (operation.Work, bool) {
	switch id.Verb {
	case StartService:
		return o.engine.StartService(), true
	case StopService, CancelService:
		return o.engine.StopService(), true
	case StartVM:
		return o.engine.StartVM(id.VM), true
	case RestartVM:
		return o.engine.RestartVM(id.VM), true
	case StopVM, CancelVM:
		return o.engine.StopVM(id.VM), true
	case ForceVM:
		return o.engine.ForceStopVM(id.VM), true
	default:
		return operation.Work{}, false
	}
}

// failed shows what went wrong, what it means and what to do.
func (o *Operator) failed(title string, err error) {
	o.Notes.Show(operation.Failure(title, title, *operation.ProblemOf(err), func() {
		_ = o.Open("--page", "diagnostics") // something is known to be wrong
	}))
}
