package server

import (
	"context"
	"fmt"

	app "rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/engine/socket"
)

// serveSocket serves the container engines' sockets until end is called. What the link says counts from settle on: until then, the
// App's controller can't know yet whether the engine runs, and requests wait. Without that controller there is no engine and no
// socket.
func (r *Run) serveSocket(ctx context.Context, d *desktop) (settle, end func()) {
	if !r.Config.Runs(app.Controller) {
		return func() {}, func() {}
	}
	docker := r.socket(d, engine.Moby, r.Instance.DockerSocket())
	containerd := r.socket(d, engine.Containerd, r.Instance.ContainerdSocket())
	d.socketProblem = func(name app.EngineName) string {
		if name == app.Containerd {
			return containerd.Problem()
		}
		return docker.Problem()
	}
	starting := engine.Target{Phase: engine.Starting, Reason: "The service of RDD is starting."}
	d.link.Set(starting)
	settle = func() {
		if target, _ := d.link.Get(); target.Phase == starting.Phase && target.Reason == starting.Reason {
			d.link.Set(engine.Target{Reason: "The container engine of RDD is stopped. Start it with: " + r.Instance.Command("start")})
		}
	}
	ends := []func(){r.serve(ctx, docker), r.serve(ctx, containerd)}
	return settle, func() {
		for _, end := range ends {
			end()
		}
	}
}

func (r *Run) socket(d *desktop, name, path string) *socket.Server {
	return &socket.Server{
		Path: path, Engine: name, Link: &d.link, Log: r.Log.With("engine", name), Changed: d.changed, Command: r.Instance.Command,
		Failed: func() string { return d.engine.State().Failed },
	}
}

// serve serves one socket until end is called. From the end of ctx on, it refuses requests.
func (r *Run) serve(ctx context.Context, s *socket.Server) (end func()) {
	serving := background(ctx, s.Run)
	stopped := context.AfterFunc(ctx, func() {
		s.Refuse(fmt.Sprintf("The service of RDD is stopping. Start it again with: %s", r.Instance.Command("start")))
	})
	return func() {
		stopped()
		_ = serving.stop() // it has no error
	}
}
