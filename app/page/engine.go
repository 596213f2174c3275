package page

import (
	"encoding/json"
	"slices"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/diagnose"
)

// Container is a container of the engine.
type Container struct {
	Object string `json:"object"` // the name of the object in the control plane, which the methods take
	core.ContainerStatus
}

// Image is a tag of an image of the engine, or an image without one.
type Image struct {
	Object string `json:"object"`
	core.ImageStatus
}

// Volume is a volume of the engine.
type Volume struct {
	Object string `json:"object"`
	core.VolumeStatus
}

// Network is a network of the engine.
type Network struct {
	Object string `json:"object"`
	core.NetworkStatus
}

// EngineEvent is the engine's objects, or what has changed since the event before. A subscriber that is slow gets the changes
// of some time in one event.
type EngineEvent struct {
	Reset      bool           `json:"reset,omitempty"`   // it has all objects; the page forgets those that it knew
	Known      bool           `json:"known"`             // the engine answers, and its objects are known
	Reason     string         `json:"reason,omitempty"`  // why they are not, while nothing is wrong
	Problem    *Problem       `json:"problem,omitempty"` // what is wrong
	Containers []Container    `json:"containers,omitempty"`
	Images     []Image        `json:"images,omitempty"`
	Volumes    []Volume       `json:"volumes,omitempty"`
	Networks   []Network      `json:"networks,omitempty"`
	Removed    *EngineRemoved `json:"removed,omitempty"`
}

// EngineRemoved names objects that no longer exist.
type EngineRemoved struct {
	Containers []string `json:"containers,omitempty"`
	Images     []string `json:"images,omitempty"`
	Volumes    []string `json:"volumes,omitempty"`
	Networks   []string `json:"networks,omitempty"`
}

// engineView is what the page knows of the engine. It is replaced, never changed.
type engineView struct {
	objects core.EngineSnapshot
	known   bool
	reason  string
	problem *Problem
}

// engineReasons says why there are no objects in a state of the App.
var engineReasons = map[core.AppState]string{
	core.AppNotCreated: "There is no container engine yet.",
	core.AppStopped:    "The container engine is stopped.",
	core.AppStarting:   "The container engine is starting.",
	core.AppRestarting: "The container engine is restarting.",
	core.AppStopping:   "The container engine is stopping.",
	core.AppDeleting:   "The container engine is being deleted.",
}

// viewOf returns what the page shows of the engine: objects only while the engine answers.
func viewOf(s core.Snapshot, objects core.EngineSnapshot) engineView {
	state, message := core.DescribeApp(s.Service, s.App)
	v := engineView{objects: objects}
	switch {
	case core.EngineAnswers(s.App) && objects.Err != nil:
		v.problem = problemOf(objects.Err)
	case core.EngineAnswers(s.App):
		v.known = true
	case state == core.AppBroken:
		v.problem = &Problem{Kind: core.Other.String()}
		v.problem.Message, v.problem.Advice = diagnose.Explain(message)
	default:
		v.reason = engineReasons[state]
	}
	return v
}

// sentEngine is what a subscriber has been sent of an engine.
type sentEngine struct {
	of   *instanceView // nil: nothing yet
	last engineView
}

// event returns the changes since the event before as JSON; nil if there are none.
func (s *sentEngine) event(of *instanceView, now engineView) (json.RawMessage, error) {
	e := EngineEvent{Reset: s.of != of, Known: now.known, Reason: now.reason, Problem: now.problem}
	before := s.last.objects
	if e.Reset {
		before = core.EngineSnapshot{}
	}
	var gone EngineRemoved
	e.Containers, gone.Containers = difference(before.Containers, now.objects.Containers, func(c *core.Container) (string, Container) {
		return c.Name, Container{c.Name, c.Status}
	})
	e.Images, gone.Images = difference(before.Images, now.objects.Images, func(i *core.Image) (string, Image) {
		return i.Name, Image{i.Name, i.Status}
	})
	e.Volumes, gone.Volumes = difference(before.Volumes, now.objects.Volumes, func(v *core.Volume) (string, Volume) {
		return v.Name, Volume{v.Name, v.Status}
	})
	e.Networks, gone.Networks = difference(before.Networks, now.objects.Networks, func(n *core.Network) (string, Network) {
		return n.Name, Network{n.Name, n.Status}
	})
	if gone.any() {
		e.Removed = &gone
	}
	same := !e.Reset && s.last.known == now.known && s.last.reason == now.reason && sameProblem(s.last.problem, now.problem)
	s.of, s.last = of, now
	if same && len(e.Containers)+len(e.Images)+len(e.Volumes)+len(e.Networks) == 0 && e.Removed == nil {
		return nil, nil
	}
	return json.Marshal(e)
}

func (r *EngineRemoved) any() bool {
	return len(r.Containers)+len(r.Images)+len(r.Volumes)+len(r.Networks) > 0
}

func sameProblem(a, b *Problem) bool { return a == b || a != nil && b != nil && *a == *b }

// difference returns the objects of after that are not in before, and the names of those that are only in before. An object that
// has not changed is the same one.
func difference[T, R any](before, after []*T, row func(*T) (name string, row R)) (changed []R, gone []string) {
	if slices.Equal(before, after) {
		return nil, nil
	}
	known := make(map[*T]bool, len(before))
	for _, object := range before {
		known[object] = true
	}
	names := make(map[string]bool, len(after))
	for _, object := range after {
		name, r := row(object)
		names[name] = true
		if !known[object] {
			changed = append(changed, r)
		}
	}
	for _, object := range before {
		if name, _ := row(object); !names[name] {
			gone = append(gone, name)
		}
	}
	return changed, gone
}
