package mirror

import (
	"context"
	"net/http"

	"rancherdesktop.io/rdd/internal/engine/answers"
	"rancherdesktop.io/rdd/internal/view"
)

// Act does something with the engine, and returns when the mirror has read what changed.
func (f *Follower[C, R]) Act(ctx context.Context, changed Key, do func(ctx context.Context, c C) error) error {
	c, err := f.Current()
	if err != nil {
		return err
	}
	err = do(ctx, c)
	if ctx.Err() == nil {
		c.Await(ctx, changed) // after a refusal, too: the client had seen something that is not so
	}
	return f.Refusal(err)
}

// Stream is a subresource that is read from the engine. serve returns an error if it has not begun to answer.
func (f *Follower[C, R]) Stream(serve func(c C, w http.ResponseWriter, r *http.Request, o view.Object) error, methods ...string) view.Subresource {
	return answers.Stream(func(w http.ResponseWriter, r *http.Request, o view.Object) {
		c, err := f.Current()
		if err == nil {
			err = f.Refusal(serve(c, w, r, o))
		}
		if err != nil {
			answers.Fail(w, err)
		}
	}, methods...)
}
