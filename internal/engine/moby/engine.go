// Package moby is docker's engine as the service sees it: it mirrors its containers, images, volumes and networks, stays
// right whatever is lost on the way, and carries out the actions on them. The service runs one Engine beside the API
// server, which serves the Engine's resources.
package moby

import (
	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/engine/mirror"
	"rancherdesktop.io/rdd/internal/engine/objects"
)

// Socket is where the engine listens in the guest.
const Socket = "/run/docker.sock"

// Engine follows the docker engine that the Link names.
type Engine struct {
	mirror.Follower[*session, reading]
	resources objects.Set
	looks     looks
}

// New returns an Engine that shows its objects in the stores of a set. Nothing is shown until Run is called.
func New(o mirror.Options, set objects.Set) *Engine {
	e := &Engine{resources: set}
	e.Name, e.Mirror, e.Open, e.Plain, e.Refusal = engine.Moby, mirror.New(set), e.open, plain, refusal
	e.Prepare(o)
	return e
}
