package server

import (
	"context"

	app "rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/engine/choice"
	"rancherdesktop.io/rdd/internal/engine/containerd"
	"rancherdesktop.io/rdd/internal/engine/mirror"
	"rancherdesktop.io/rdd/internal/engine/moby"
)

// newEngine returns what follows the engine in the App's VM. It tells the App's controller, and which ports containers
// publish.
func (r *Run) newEngine(d *desktop) *choice.Choice {
	o := mirror.Options{Link: &d.link, Log: r.Log, Changed: d.changed, Published: d.ports.publish}
	return &choice.Choice{
		Link:    &d.link,
		Engines: map[string]choice.Engine{engine.Moby: moby.New(o, d.objects), engine.Containerd: containerd.New(o, d.objects)},
		Left:    func() { d.ports.publish(nil) },
	}
}

// followEngine follows the engine, and tells the VM's hostagent about ports, until end is called.
func (r *Run) followEngine(ctx context.Context, d *desktop) (end func()) {
	if !r.Config.Runs(app.Controller) {
		return func() {}
	}
	publishing := background(ctx, func(ctx context.Context) error {
		d.ports.to.Run(ctx)
		return nil
	})
	following := background(ctx, d.engine.Run)
	return func() {
		_ = following.stop() // it has no error
		_ = publishing.stop()
	}
}
