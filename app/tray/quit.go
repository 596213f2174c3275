package tray

import (
	"context"
	"fmt"
	"time"

	"rancherdesktop.io/rdd/app/notify"
	"rancherdesktop.io/rdd/core"
)

// askAndQuit ends the tray. It asks once whether the service is to keep running, and stores the answer.
func (t *Tray) askAndQuit(ctx context.Context) {
	status, err := t.Core.Service().Status(ctx)
	if err == nil && (status.State == core.ServiceStopped || status.State == core.ServiceNotCreated) {
		t.quit()
		return
	}
	if choice := t.Core.OnQuit(); choice != core.OnQuitAsk {
		t.leave(ctx, choice)
		return
	}
	if t.notes.Asks() {
		t.ask(ctx)
		return
	}
	if err := t.Open("--ask", "quit"); err != nil {
		t.quit() // the user can't be asked, so nothing is stopped
		return
	}
	t.waitForChoice(ctx)
}

// ask asks the user in a notification.
func (t *Tray) ask(ctx context.Context) {
	t.notes.Show(notify.Note{
		Key: "quit", Urgent: true,
		Title:   "Quit RDD?",
		Body:    t.runningVMs(ctx) + "The service can keep running in the background without the tray icon. RDD remembers your answer. You can change it in Settings.",
		Actions: []notify.Action{{Key: string(core.OnQuitKeepRunning), Label: "Keep running"}, {Key: string(core.OnQuitStop), Label: "Stop all"}},
		Chosen: func(action string) {
			choice := core.OnQuit(action)
			if choice != core.OnQuitKeepRunning && choice != core.OnQuitStop {
				return // the notification was closed
			}
			if err := t.Core.SetOnQuit(choice); err != nil {
				t.failed("Could not save your answer", err)
			}
			t.leave(ctx, choice)
		},
	})
}

// runningVMs says how many VMs run or start; nothing if that is not known.
func (t *Tray) runningVMs(ctx context.Context) string {
	session, err := t.Core.Connect(ctx)
	if err != nil {
		return ""
	}
	vms, err := session.VMs().List(ctx)
	if err != nil {
		return ""
	}
	up := 0
	for i := range vms {
		if at := phaseOf(&vms[i]); at == phaseUp || at == phaseStarting {
			up++
		}
	}
	switch up {
	case 0:
		return "No virtual machines are running. "
	case 1:
		return "1 virtual machine is running. "
	}
	return fmt.Sprintf("%d virtual machines are running. ", up)
}

// A window that was open already asks after Open has returned.
const (
	choicePollInterval = time.Second
	choiceTimeout      = 5 * time.Minute
)

// waitForChoice waits until the user has answered in the window. Without an answer, the tray stays.
func (t *Tray) waitForChoice(ctx context.Context) {
	late := time.After(choiceTimeout)
	tick := time.NewTicker(choicePollInterval)
	defer tick.Stop()
	for t.Core.OnQuit() == core.OnQuitAsk {
		select {
		case <-ctx.Done():
			return
		case <-late:
			return
		case <-tick.C:
		}
	}
	t.leave(ctx, t.Core.OnQuit())
}

// leave carries out the choice and ends the tray. If the service does not stop, the tray stays.
func (t *Tray) leave(ctx context.Context, choice core.OnQuit) {
	if choice == core.OnQuitStop {
		if err := t.engine.Run(ctx, t.engine.StopService()); err != nil {
			return
		}
		if status, err := t.Core.Service().Status(ctx); err != nil || status.State != core.ServiceStopped {
			return
		}
	}
	t.quit()
}
