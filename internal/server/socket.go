package server

import (
	"context"
	"fmt"

	app "rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/engine/socket"
	"rancherdesktop.io/rdd/internal/instance"
)

// startCommand is the command that starts the App of an instance.
func startCommand(inst instance.Instance) string {
	if inst.Name == instance.Default {
		return "rdd start"
	}
	return "rdd --instance " + inst.Name + " start"
}

// serveSocket serves the container engine's socket until end is called. What the link says counts from settle on: until then, the
// App's controller can't know yet whether the engine runs, and requests wait. Without that controller there is no engine and no
// socket.
func (r *Run) serveSocket(ctx context.Context, link *engine.Link) (s *socket.Server, settle, end func()) {
	s = &socket.Server{
		Path: r.Instance.DockerSocket(), Link: link, Log: r.Log,
		Stopped: "The container engine of RDD is stopped. Start it with: " + startCommand(r.Instance),
	}
	if !r.Config.Runs(app.Controller) {
		return s, func() {}, func() {}
	}
	starting := engine.Target{Phase: engine.Starting, Reason: "The service of RDD is starting."}
	link.Set(starting)
	settle = func() {
		if target, _ := link.Get(); target.Phase == starting.Phase && target.Reason == starting.Reason {
			link.Set(engine.Target{})
		}
	}
	serving := background(ctx, s.Run)
	stopped := context.AfterFunc(ctx, func() {
		s.Refuse(fmt.Sprintf("The service of RDD is stopping. Start it again with: %s", startCommand(r.Instance)))
	})
	return s, settle, func() {
		stopped()
		_ = serving.stop() // it has no error
	}
}
