package tray

import (
	"context"

	"github.com/pkg/browser"

	"rancherdesktop.io/rdd/app/operation"
	"rancherdesktop.io/rdd/core"
)

// showOperations shows the operations that clicks have begun in notifications, until ctx ends.
func (t *Tray) showOperations(ctx context.Context, changed <-chan struct{}) {
	notifier := &operation.Notifier{
		Notes: t.notes, Progress: true,
		Show:   func(op operation.Operation) { t.open("--operation", string(op.Verb)+"/"+op.Object) },
		Answer: func(id string, a operation.Answer) { _ = t.engine.Answer(id, a) }, // it may have ended meanwhile
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			notifier.Look(t.engine.List())
		}
	}
}

// click carries out a click on an item. It does not wait for the result.
func (t *Tray) click(ctx context.Context, id ID) {
	switch id.Verb {
	case Open:
		t.open()
	case Settings:
		t.open("--page", "settings")
	case Diagnostics:
		t.open("--page", "diagnostics")
	case Shell:
		t.open("--page", "vm/"+id.VM+"/shell")
	case Logs:
		t.open("--page", "vm/"+id.VM+"/logs")
	case Login:
		go t.toggleLogin()
	case Quit:
		go t.askAndQuit(ctx)
	case ForceService:
		go t.forceService()
	case StartService:
		t.begin(t.engine.StartService())
	case StopService, CancelService:
		t.begin(t.engine.StopService())
	case StartApp:
		t.begin(t.engine.StartApp())
	case StopApp, CancelApp:
		t.begin(t.engine.StopApp())
	case ForceApp:
		t.begin(t.engine.ForceStopApp())
	case OpenPort:
		go t.browse(id.VM)
	case ContainerLogs:
		t.open("--page", "containers/"+id.VM+"/logs")
	case StopContainer:
		go t.stopContainer(ctx, id.VM)
	case Containers:
		t.open("--page", "containers")
	case StartVM:
		t.begin(t.engine.StartVM(id.VM))
	case RestartVM:
		t.begin(t.engine.RestartVM(id.VM))
	case StopVM, CancelVM:
		t.begin(t.engine.StopVM(id.VM))
	case ForceVM:
		t.begin(t.engine.ForceStopVM(id.VM))
	case textItem, separator, vmItem, vmGroup, containerItem, containerGroup:
	}
}

func (t *Tray) begin(w operation.Work) { _, _ = t.engine.Begin(w) } // fails only when the tray ends

func (t *Tray) open(args ...string) {
	go func() {
		if err := t.Open(args...); err != nil {
			t.failed("Could not open the window", err)
		}
	}()
}

// browse opens an address in the user's browser.
func (t *Tray) browse(url string) {
	if err := browser.OpenURL(url); err != nil {
		t.failed("Could not open "+url, err)
	}
}

// stopContainer stops a container. The engine kills it after a while if it doesn't end.
func (t *Tray) stopContainer(ctx context.Context, id string) {
	session, err := t.Core.ConnectApp(ctx)
	if err == nil {
		err = session.Engine().Act(ctx, core.StopContainer, id)
	}
	if err != nil {
		t.failed("Could not stop the container", err)
	}
}

// forceService powers off all guests immediately while the service stops.
func (t *Tray) forceService() {
	if err := t.Core.Service().Force(); err != nil {
		t.failed("Could not force the stop", err)
	}
}

func (t *Tray) toggleLogin() {
	var err error
	if startsAtLogin(t.Core) {
		_, err = t.Core.Login().Uninstall()
	} else {
		_, err = t.Core.Login().Install()
	}
	if err != nil {
		t.failed("Could not change Start at login", err)
	}
	t.updateLogin()
}

// startsAtLogin returns whether both the service and the tray start at login.
func startsAtLogin(c *core.Core) bool {
	for _, part := range c.Login().Status() {
		if !part.Installed {
			return false
		}
	}
	return true
}

// failed shows an error in a notification: what happened, what it means and what to do.
func (t *Tray) failed(title string, err error) {
	t.notes.Show(operation.Failure(title, title, *operation.ProblemOf(err), func() {
		_ = t.Open("--page", "diagnostics") // diagnostics may know more
	}))
}
