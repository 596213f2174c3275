// Package choice runs the engine that the App has chosen, and serves its objects: only one engine's at a time, in the same
// resources. internal/server runs it.
package choice

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/engine/answers"
	"rancherdesktop.io/rdd/internal/engine/objects"
	"rancherdesktop.io/rdd/internal/view"
)

// Engine follows one engine, and shows its objects while it runs. *moby.Engine is one.
type Engine interface {
	Run(ctx context.Context) error
	State() engine.State
	// Resources are the set's, with what this engine can do with them.
	Resources() []view.Resource
}

// Choice follows the engine that the Link names.
type Choice struct {
	Link *engine.Link
	// Engines by their names. Moby must be there: it is the choice of a Link that names none.
	Engines map[string]Engine
	// Left is called when another engine was chosen: what the one before has published is gone.
	Left func()
}

// Resources returns what the API server serves: the resources of the set, with what any of the engines can do with them.
func (c *Choice) Resources(set objects.Set) []view.Resource {
	all := set.All()
	for i := range all {
		all[i].Columns = slices.Clone(all[i].Columns)
		for j := range all[i].Columns {
			if column := &all[i].Columns[j]; column.Name == objects.Namespace {
				column.Wide = func() bool { return c.chosen(engine.Moby) != engine.Containerd }
			}
		}
		all[i].Delete = func(ctx context.Context, o view.Object, options *metav1.DeleteOptions) error {
			name, r := c.resource(all[i].Name)
			if r.Delete == nil {
				return unable(name)
			}
			return r.Delete(ctx, o, options)
		}
		all[i].Subresources = map[string]view.Subresource{}
		for _, e := range c.Engines {
			for name, s := range resourceOf(e, all[i].Name).Subresources {
				all[i].Subresources[name] = c.subresource(all[i].Name, name, s.Methods)
			}
		}
	}
	return all
}

// subresource passes requests on to the engine of the moment.
func (c *Choice) subresource(resource, name string, methods []string) view.Subresource {
	return view.Subresource{Methods: methods, Handler: func(o view.Object) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			engine, has := c.resource(resource)
			if s, ok := has.Subresources[name]; ok {
				s.Handler(o).ServeHTTP(w, r)
				return
			}
			answers.Fail(w, unable(engine))
		})
	}}
}

// unable is the answer to what an engine can't do.
func unable(engine string) error {
	return view.Status(http.StatusNotImplemented, fmt.Sprintf("The engine %s can't do that.", engine))
}

// resource returns a resource of the engine of the moment.
func (c *Choice) resource(name string) (string, view.Resource) {
	chosen := c.chosen(engine.Moby)
	return chosen, resourceOf(c.Engines[chosen], name)
}

func resourceOf(e Engine, name string) view.Resource {
	for _, r := range e.Resources() {
		if r.Name == name {
			return r
		}
	}
	return view.Resource{}
}

// State returns what is known of the chosen engine.
func (c *Choice) State() engine.State { return c.Engines[c.chosen(engine.Moby)].State() }

// chosen returns the name of the engine that the Link names, or the one before if it names none that there is.
func (c *Choice) chosen(before string) string {
	target, _ := c.Link.Get()
	if c.Engines[target.Engine] == nil {
		return before
	}
	return target.Engine
}

// Run follows the chosen engine until ctx ends.
func (c *Choice) Run(ctx context.Context) error {
	name := engine.Moby
	for ctx.Err() == nil {
		name = c.chosen(name)
		c.follow(ctx, name)
		if ctx.Err() == nil && c.Left != nil {
			c.Left()
		}
	}
	return nil
}

// follow follows one engine until another one is chosen.
func (c *Choice) follow(ctx context.Context, name string) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.Engines[name].Run(ctx) // it has no error
	}()
	defer func() {
		cancel()
		<-ended
	}()
	for {
		_, changed := c.Link.Get()
		if c.chosen(name) != name {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
