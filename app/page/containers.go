package page

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"rancherdesktop.io/rdd/core"
)

// Failure says why something was not done with one of several objects.
type Failure struct {
	ID      string `json:"id"`   // as the call named it
	Name    string `json:"name"` // for people
	Message string `json:"message"`
}

// parallelActions is how many objects of the engine are worked on at the same time.
const parallelActions = 8

// onEach does something with each object, and returns what failed, in the order of ids.
func (a *API) onEach(ctx context.Context, ids []string, do func(ctx context.Context, engine *core.EngineObjects, id string) error) ([]Failure, error) {
	session, err := a.current().core.ConnectApp(ctx)
	if err != nil {
		return nil, err
	}
	engine := session.Engine()
	failures := make([]Failure, len(ids))
	names := make([]string, len(ids)) // as long as the objects exist
	for i, id := range ids {
		names[i] = a.nameOf(id)
	}
	var all errgroup.Group
	all.SetLimit(parallelActions)
	for i, id := range ids {
		all.Go(func() error {
			if err := do(ctx, engine, id); err != nil {
				failures[i] = Failure{id, names[i], innermost(err)}
			}
			return nil
		})
	}
	_ = all.Wait() // failures has the errors
	return slices.DeleteFunc(failures, func(f Failure) bool { return f.ID == "" }), ctx.Err()
}

// nameOf returns the name of an object of the engine for people.
func (a *API) nameOf(object string) string {
	a.mu.Lock()
	objects := a.shown.objects.objects
	a.mu.Unlock()
	for _, c := range objects.Containers {
		if c.Name == object {
			return c.Status.Name
		}
	}
	for _, i := range objects.Images {
		if i.Name == object && i.Status.RepoTag != "" {
			return i.Status.RepoTag
		}
	}
	for _, n := range objects.Networks {
		if n.Name == object {
			return n.Status.Name
		}
	}
	return object
}

// acts returns a method that does something with containers.
func acts(action core.ContainerAction) func(*API, context.Context, IDsParams) ([]Failure, error) {
	return func(a *API, ctx context.Context, params IDsParams) ([]Failure, error) {
		return a.onEach(ctx, params.IDs, func(ctx context.Context, engine *core.EngineObjects, id string) error {
			return engine.Act(ctx, action, id)
		})
	}
}

func (a *API) containerDelete(ctx context.Context, params DeleteContainersParams) ([]Failure, error) {
	return a.onEach(ctx, params.IDs, func(ctx context.Context, engine *core.EngineObjects, id string) error {
		return engine.RemoveContainer(ctx, id, core.RemoveOptions{Force: params.Force, Volumes: params.Volumes})
	})
}
