package server

import (
	"context"
	"fmt"

	app "rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/engine/socket"
)

// serveSocket serves the container engine's socket until end is called. What the link says counts from settle on: until then, the
// App's controller can't know yet whether the engine runs, and requests wait. Without that controller there is no engine and no
// socket.
func (r *Run) serveSocket(ctx context.Context, d *desktop) (settle, end func()) {
	s := &socket.Server{
		Path: r.Instance.DockerSocket(), Link: &d.link, Log: r.Log, Changed: d.changed, Command: r.Instance.Command,
	}
	if !r.Config.Runs(app.Controller) {
		return func() {}, func() {}
	}
	d.socketProblem = s.Problem
	starting := engine.Target{Phase: engine.Starting, Reason: "The service of RDD is starting."}
	d.link.Set(starting)
	settle = func() {
		if target, _ := d.link.Get(); target.Phase == starting.Phase && target.Reason == starting.Reason {
			d.link.Set(engine.Target{Reason: "The container engine of RDD is stopped. Start it with: " + r.Instance.Command("start")})
		}
	}
	serving := background(ctx, s.Run)
	stopped := context.AfterFunc(ctx, func() {
		s.Refuse(fmt.Sprintf("The service of RDD is stopping. Start it again with: %s", r.Instance.Command("start")))
	})
	return settle, func() {
		stopped()
		_ = serving.stop() // it has no error
	}
}
