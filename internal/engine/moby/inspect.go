package moby

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/moby/moby/client"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine/answers"
	"rancherdesktop.io/rdd/internal/view"
)

// inspected answers with all that the engine says about an object, as docker inspect prints it.
func (e *Engine) inspected(ask func(ctx context.Context, engine *client.Client, o view.Object) (json.RawMessage, error)) view.Subresource {
	return e.Stream(func(s *session, w http.ResponseWriter, r *http.Request, o view.Object) error {
		ctx, cancel := context.WithTimeout(r.Context(), headerTimeout)
		defer cancel()
		raw, err := ask(ctx, s.actions, o)
		if err != nil {
			return err
		}
		answers.JSON(w, http.StatusOK, raw)
		return nil
	}, http.MethodGet)
}

func inspectContainer(ctx context.Context, engine *client.Client, o view.Object) (json.RawMessage, error) {
	found, err := engine.ContainerInspect(ctx, o.GetName(), client.ContainerInspectOptions{})
	return found.Raw, err
}

func inspectImage(ctx context.Context, engine *client.Client, o view.Object) (json.RawMessage, error) {
	name := o.GetName()
	if image, ok := o.(*v1alpha1.Image); ok {
		name = image.Status.ID
	}
	var raw bytes.Buffer
	_, err := engine.ImageInspect(ctx, name, client.ImageInspectWithRawResponse(&raw))
	return raw.Bytes(), err
}

func inspectVolume(ctx context.Context, engine *client.Client, o view.Object) (json.RawMessage, error) {
	name := o.GetName()
	if volume, ok := o.(*v1alpha1.Volume); ok {
		name = volume.Status.Name
	}
	found, err := engine.VolumeInspect(ctx, name, client.VolumeInspectOptions{})
	return found.Raw, err
}

func inspectNetwork(ctx context.Context, engine *client.Client, o view.Object) (json.RawMessage, error) {
	found, err := engine.NetworkInspect(ctx, o.GetName(), client.NetworkInspectOptions{})
	return found.Raw, err
}
