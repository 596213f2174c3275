package page

import (
	"context"
)

// instanceOpen shows another instance, and creates nothing. Operations on the previous one continue.
func (a *API) instanceOpen(ctx context.Context, params NameParams) (State, error) {
	if params.Name == "" {
		return State{}, badField("name", "name: is empty")
	}
	c, err := a.options.Open(params.Name)
	if err != nil {
		return State{}, badField("name", "name: %v", err)
	}
	a.mu.Lock()
	view := a.views[params.Name]
	if view == nil {
		view = a.newInstanceView(c)
		a.views[params.Name] = view
	}
	if view == a.shown {
		a.mu.Unlock()
		return a.State(), nil
	}
	close(a.shown.left)
	a.shown, view.left, view.seen = view, make(chan struct{}), make(chan struct{})
	left, seen := view.left, view.seen
	a.mu.Unlock()
	if err := a.background(func(ctx context.Context) { a.watch(ctx, view, left) }); err != nil {
		return State{}, err
	}
	select {
	case <-seen:
	case <-left: // yet another instance is shown
	case <-ctx.Done():
		return State{}, context.Cause(ctx)
	}
	return a.State(), nil
}
