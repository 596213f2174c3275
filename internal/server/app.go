package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	goruntime "runtime"

	appv1alpha1 "rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	"rancherdesktop.io/rdd/internal/controller"
	"rancherdesktop.io/rdd/internal/controller/app"
	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/dockerconfig"
	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/engine/choice"
	"rancherdesktop.io/rdd/internal/engine/objects"
	"rancherdesktop.io/rdd/internal/forward"
	"rancherdesktop.io/rdd/internal/host"
	"rancherdesktop.io/rdd/internal/machine"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// desktop is what the App's controller, the engine and the engine's socket share.
type desktop struct {
	link   engine.Link
	events controller.EventSource // of the App's controller
	// socketProblem says why an engine's socket can't be served.
	socketProblem func(appv1alpha1.EngineName) string
	ports         publishing
	objects       objects.Set
	engine        *choice.Choice
}

// newDesktop returns what the parts of the App share.
func (r *Run) newDesktop() *desktop {
	d := &desktop{
		socketProblem: func(appv1alpha1.EngineName) string { return "" },
		objects:       objects.NewSet(),
		ports:         publishing{to: forward.NewPublisher(layout.Of(r.Instance, appv1alpha1.VM))},
	}
	d.engine = r.newEngine(d)
	return d
}

// changed makes the App's controller look at the App.
func (d *desktop) changed() { d.events.Enqueue(appv1alpha1.Name) }

// appController returns the controller of the App.
func (r *Run) appController(machines *machine.Manager, d *desktop, ownsEmptyHost bool) controller.Controller {
	return app.New(app.Options{
		Host: r.Host, OwnsEmptyHost: ownsEmptyHost, Events: &d.events,
		Engine: d.engine, Link: &d.link, Dial: r.dialGuest, Allow: d.ports.allow,
		Docker: dockerconfig.Of(r.Instance), Context: r.Instance.Context(), SocketProblem: d.socketProblem,
		Sockets: map[appv1alpha1.EngineName]string{appv1alpha1.Moby: r.Instance.DockerSocket(), appv1alpha1.Containerd: r.Instance.ContainerdSocket()},
		Guest:   r.guestTemplate,
		Validate: func(ctx context.Context, vm string, template []byte) error {
			return machines.Validate(ctx, vm, template, nil)
		},
		Launched: r.launched,
		Computer: computer(r.Instance.Home()),
		Command:  r.Instance.Command,
	})
}

// dialGuest connects to an address in the App's VM.
func (r *Run) dialGuest(ctx context.Context, network, address string) (net.Conn, error) {
	return forward.Dial(ctx, layout.Of(r.Instance, appv1alpha1.VM), network, address)
}

// guestTemplate returns the template of RDD's guest.
func (r *Run) guestTemplate() (string, error) {
	dir := filepath.Join(r.Instance.ShareDir(), "rdd", "guest")
	text, err := os.ReadFile(filepath.Join(dir, "rdd-guest.yaml"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", diag.Errorf(diag.InstallBroken, "RDD's guest is missing from %s: reinstall RDD; in a checkout of its source run: make guest. RDD goes on by itself then", dir)
	}
	if err != nil {
		return "", fmt.Errorf("RDD's guest can't be read: %w", err)
	}
	return string(text), nil
}

// launched returns with what template and data disk the guest of a VM was started that runs now. rdd-lima writes that before
// each start, so it is read only after the look at the lock.
func (r *Run) launched(vm string) (template string, dataDisk int64, known bool) {
	at := layout.Of(r.Instance, vm)
	if !at.HostagentAlive() {
		return "", 0, false
	}
	f, err := os.Open(at.Job())
	if err != nil {
		return "", 0, false
	}
	defer f.Close()
	job, err := event.ReadJob(f)
	return job.Template, job.DataDisk, err == nil
}

// computer describes this host.
func computer(home string) app.Computer {
	c := app.Computer{CPUs: goruntime.NumCPU(), Home: home}
	if m, err := host.MemoryOf(); err == nil {
		c.Memory = int64(m.Total)
	}
	return c
}
