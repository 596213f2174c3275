package tray

import (
	"context"
	"fmt"
	"time"

	"rancherdesktop.io/rdd/app/notify"
	"rancherdesktop.io/rdd/core"
)

// quit ends the tray. What is to become of the service and its VMs is asked once, and remembered.
func (o *Operator) quit(ctx context.Context) {
	status, err := o.Core.Service().Status(ctx)
	if err == nil && (status.State == core.ServiceStopped || status.State == core.ServiceNotCreated) {
		o.Quit()
		return
	}
	if choice := o.Core.OnQuit(); choice != core.OnQuitAsk {
		o.leave(ctx, choice)
		return
	}
	if o.Notes.Asks() {
		o.ask(ctx)
		return
	}
	if err := o.Open("--ask", "quit"); err != nil {
		o.Quit() // nobody can be asked, so nothing is stopped
		return
	}
	o.waitForChoice(ctx)
}

// ask asks in a notification.
func (o *Operator) ask(ctx context.Context) {
	o.Notes.Show(notify.Note{
		Key: "quit", Urgent: true,
		Title:   "Quit RDD",
		Body:    o.whatRuns(ctx) + " Your answer is remembered; the settings can change it.",
		Actions: []notify.Action{{Key: string(core.OnQuitKeepRunning), Label: "Keep running"}, {Key: string(core.OnQuitStop), Label: "Stop all"}},
		Chosen: func(action string) {
			choice := core.OnQuit(action)
			if choice != core.OnQuitKeepRunning && choice != core.OnQuitStop {
				return // closed: not to quit after all
			}
			if err := o.Core.SetOnQuit(choice); err != nil {
				o.failed("The answer is not remembered", err)
			}
			o.leave(ctx, choice)
		},
	})
}

// whatRuns says what would go on or be stopped.
func (o *Operator) whatRuns(ctx context.Context) string {
	const service = "The service runs."
	session, err := o.Core.Connect(ctx)
	if err != nil {
		return service
	}
	vms, err := session.VMs().List(ctx)
	if err != nil {
		return service
	}
	up := 0
	for i := range vms {
		if at := phaseOf(&vms[i]); at == phaseUp || at == phaseStarting {
			up++
		}
	}
	switch up {
	case 0:
		return "The service runs, and no virtual machine."
	case 1:
		return "The service and a virtual machine run."
	}
	return fmt.Sprintf("The service and %d virtual machines run.", up)
}

// The window may have been open already, and then asks after Open has returned.
const (
	choicePollInterval = time.Second
	choiceTimeout      = 5 * time.Minute
)

// waitForChoice waits for the window to have an answer. Without one, the tray stays.
func (o *Operator) waitForChoice(ctx context.Context) {
	late := time.After(choiceTimeout)
	tick := time.NewTicker(choicePollInterval)
	defer tick.Stop()
	for o.Core.OnQuit() == core.OnQuitAsk {
		select {
		case <-ctx.Done():
			return
		case <-late:
			return
		case <-tick.C:
		}
	}
	o.leave(ctx, o.Core.OnQuit())
}

// leave does what was chosen. A stop that fails is told, and the tray stays.
func (o *Operator) leave(ctx context.Context, choice core.OnQuit) {
	if choice == core.OnQuitStop {
		if err := o.engine.Run(ctx, o.engine.StopService()); err != nil {
			return
		}
		if status, err := o.Core.Service().Status(ctx); err != nil || status.State != core.ServiceStopped {
			return
		}
	}
	o.Quit()
}
