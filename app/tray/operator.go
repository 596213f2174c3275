package tray

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rancherdesktop.io/rdd/app/dialog"
	"rancherdesktop.io/rdd/app/notify"
	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/diagnose"
)

// Operator carries out clicks, and tells in notifications how it goes.
type Operator struct {
	Core  *core.Core
	Notes notify.Notifier

	// Open opens the window with these arguments and returns when it has ended.
	Open func(args ...string) error
	// Quit ends the tray.
	Quit func()
	// LoginChanged is called when what starts at login may have changed.
	LoginChanged func()

	mu    sync.Mutex
	waits map[string]*wait // by object: the instance is "", the others are VMs
}

// wait is an operation that somebody waits for. To end it ends the waiting only.
type wait struct {
	verb Verb
	end  context.CancelCauseFunc
}

var errSuperseded = fmt.Errorf("%w: something else was asked for", context.Canceled)

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
		go o.operate(ctx, id)
	}
}

func (o *Operator) open(args ...string) {
	go func() {
		if err := o.Open(args...); err != nil {
			o.failed("The window did not open", err, nil)
		}
	}()
}

// forceService ends all guests at once in the stop that is under way.
func (o *Operator) forceService() {
	if err := o.Core.Service().Force(); err != nil {
		o.failed("The virtual machines were not forced to stop", err, nil)
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
		o.failed("Start at login was not changed", err, nil)
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

// operation is what a click does to the service or to a VM.
type operation struct {
	verb    dialog.Verb   // as the window calls it
	title   string        // "Start demo"
	done    string        // "demo is up"
	late    string        // "demo is still starting"
	timeout time.Duration // until somebody is asked; 0: nobody is
	loses   string        // what a forced stop may lose; empty: nothing can be forced
	do      func(context.Context, core.Wait) error
}

// What a forced stop may lose.
const (
	unwritten    = "To force the virtual machine to stop loses what its guest has not yet written to its disk."
	allUnwritten = "To force the virtual machines to stop loses what their guests have not yet written to their disks."
)

func (o *Operator) operation(id ID) (operation, bool) {
	service, vm := o.Core.Service(), id.VM
	settings, _ := o.Core.Settings() // usable with an error, too
	serviceTimeout, vmTimeout := time.Duration(settings.ServiceTimeout)*time.Second, time.Duration(settings.VMTimeout)*time.Second
	vms := func(do func(*core.VMs, context.Context, core.Wait) error) func(context.Context, core.Wait) error {
		return func(ctx context.Context, w core.Wait) error {
			session, err := o.Core.Connect(ctx)
			if err != nil {
				return err
			}
			return do(session.VMs(), ctx, w)
		}
	}
	stop := func(force bool) func(context.Context, core.Wait) error {
		return vms(func(v *core.VMs, ctx context.Context, w core.Wait) error { return v.Stop(ctx, vm, force, w) })
	}
	switch id.Verb {
	case StartService:
		return operation{verb: dialog.StartService, title: "Start RDD", done: "RDD is running", late: "RDD is still starting", timeout: serviceTimeout,
			do: func(ctx context.Context, w core.Wait) error { _, err := service.Start(ctx, w); return err }}, true
	case StopService, CancelService:
		return operation{verb: dialog.StopService, title: "Stop RDD", done: "RDD has stopped", late: "RDD is still stopping", timeout: serviceTimeout, loses: allUnwritten,
			do: func(ctx context.Context, w core.Wait) error { _, err := service.Stop(ctx, false, w); return err }}, true
	case StartVM:
		return operation{verb: dialog.Start, title: "Start " + vm, done: vm + " is up", late: vm + " is still starting", timeout: vmTimeout, loses: unwritten,
			do: vms(func(v *core.VMs, ctx context.Context, w core.Wait) error { return v.Start(ctx, vm, w) })}, true
	case RestartVM:
		return operation{verb: dialog.Restart, title: "Restart " + vm, done: vm + " is up again", late: vm + " is still restarting", timeout: vmTimeout, loses: unwritten,
			do: vms(func(v *core.VMs, ctx context.Context, w core.Wait) error { return v.Restart(ctx, vm, false, w) })}, true
	case StopVM, CancelVM:
		return operation{verb: dialog.Stop, title: "Stop " + vm, done: vm + " has stopped", late: vm + " is still stopping", timeout: vmTimeout, loses: unwritten, do: stop(false)}, true
	case ForceVM:
		return operation{verb: dialog.Stop, title: "Force " + vm + " to stop", done: vm + " has stopped", late: vm + " is still stopping", timeout: vmTimeout, do: stop(true)}, true
	default:
		return operation{}, false
	}
}

// operate carries out an operation, unless the same one is under way; another one on the same object
// takes its place.
func (o *Operator) operate(ctx context.Context, id ID) {
	op, ok := o.operation(id)
	if !ok {
		return
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	if !o.begin(id, end) {
		return
	}
	story := &story{operator: o, id: id, op: op, began: time.Now()}
	err := op.do(ctx, core.Wait{Timeout: op.timeout, Progress: story.progress, Overdue: story.overdue})
	if o.end(id) {
		story.settled(err)
	}
}

func (o *Operator) begin(id ID, end context.CancelCauseFunc) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waits == nil {
		o.waits = map[string]*wait{}
	}
	if old := o.waits[id.VM]; old != nil {
		if old.verb == id.Verb {
			return false
		}
		old.end(errSuperseded)
	}
	o.waits[id.VM] = &wait{id.Verb, end}
	return true
}

// end forgets the operation, and says whether it was still the one that counts.
func (o *Operator) end(id ID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if w := o.waits[id.VM]; w == nil || w.verb != id.Verb {
		return false
	}
	delete(o.waits, id.VM)
	return true
}

// failed tells what went wrong, what it means and what to do. show opens what has the rest; nil: diagnostics.
func (o *Operator) failed(title string, err error, show []string) {
	if core.KindOf(err) == core.Canceled {
		return // whoever gave up knows
	}
	text := err
	if e, ok := errors.AsType[*core.Error](err); ok {
		text = e.Err // the title says what was tried
	}
	body := text.Error()
	if advice := diagnose.Advice(err); advice != "" {
		body += "\n" + advice
	}
	if show == nil {
		show = []string{"--page", "diagnostics"}
	}
	o.Notes.Show(notify.Note{
		Key: title, Title: title, Body: body, Default: "show", Actions: []notify.Action{{Key: "show", Label: "Show"}},
		Chosen: func(action string) {
			if action == "show" {
				_ = o.Open(show...) // it was said already that something is wrong
			}
		},
	})
}
