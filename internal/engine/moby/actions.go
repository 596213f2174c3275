package moby

import (
	"context"
	"net/http"
	"net/url"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine/answers"
	"rancherdesktop.io/rdd/internal/engine/mirror"
	"rancherdesktop.io/rdd/internal/view"
)

// act does something with the engine, and returns when the mirror has read what changed.
func (e *Engine) act(ctx context.Context, changed mirror.Key, do func(ctx context.Context, engine *client.Client) error) error {
	return e.Act(ctx, changed, func(ctx context.Context, s *session) error { return do(ctx, s.actions) })
}

func (e *Engine) containerSubresources() map[string]view.Subresource {
	onContainer := func(do func(ctx context.Context, engine *client.Client, id string, query url.Values) error) view.Subresource {
		return answers.Action(func(r *http.Request, o view.Object) error {
			return e.act(r.Context(), mirror.Key{Kind: mirror.Containers, ID: o.GetName()}, func(ctx context.Context, engine *client.Client) error {
				return do(ctx, engine, o.GetName(), r.URL.Query())
			})
		})
	}
	return map[string]view.Subresource{
		"start": onContainer(func(ctx context.Context, engine *client.Client, id string, _ url.Values) error {
			_, err := engine.ContainerStart(ctx, id, client.ContainerStartOptions{})
			return err
		}),
		"stop": onContainer(func(ctx context.Context, engine *client.Client, id string, query url.Values) error {
			seconds, err := answers.Number(query, "timeout")
			if err != nil {
				return err
			}
			_, err = engine.ContainerStop(ctx, id, client.ContainerStopOptions{Timeout: seconds, Signal: query.Get("signal")})
			return err
		}),
		"restart": onContainer(func(ctx context.Context, engine *client.Client, id string, query url.Values) error {
			seconds, err := answers.Number(query, "timeout")
			if err != nil {
				return err
			}
			_, err = engine.ContainerRestart(ctx, id, client.ContainerRestartOptions{Timeout: seconds, Signal: query.Get("signal")})
			return err
		}),
		"pause": onContainer(func(ctx context.Context, engine *client.Client, id string, _ url.Values) error {
			_, err := engine.ContainerPause(ctx, id, client.ContainerPauseOptions{})
			return err
		}),
		"unpause": onContainer(func(ctx context.Context, engine *client.Client, id string, _ url.Values) error {
			_, err := engine.ContainerUnpause(ctx, id, client.ContainerUnpauseOptions{})
			return err
		}),
		"kill": onContainer(func(ctx context.Context, engine *client.Client, id string, query url.Values) error {
			_, err := engine.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: query.Get("signal")})
			return err
		}),
		"log":     e.Stream((*session).serveLog, http.MethodGet),
		"exec":    e.Stream((*session).serveExec, http.MethodGet, http.MethodPost),
		"attach":  e.Stream((*session).serveAttach, http.MethodGet, http.MethodPost),
		"stats":   e.Stream((*session).serveStats, http.MethodGet),
		"files":   e.Stream((*session).serveContainerFiles, http.MethodGet),
		"inspect": e.inspected(inspectContainer),
	}
}

func (e *Engine) imageSubresources() map[string]view.Subresource {
	return map[string]view.Subresource{
		"inspect": e.inspected(inspectImage),
		"tag": answers.Action(func(r *http.Request, o view.Object) error {
			target := r.URL.Query().Get("target")
			if target == "" {
				return view.Status(http.StatusBadRequest, "The query needs target=REPOSITORY:TAG, for example ?target=shop:2.")
			}
			return e.act(r.Context(), mirror.Key{Kind: mirror.Images}, func(ctx context.Context, engine *client.Client) error {
				_, err := engine.ImageTag(ctx, client.ImageTagOptions{Source: imageID(o), Target: target})
				if err != nil && !answered(err) && !client.IsErrConnectionFailed(err) { // the client itself has checked the reference
					return view.Status(http.StatusBadRequest, err.Error())
				}
				return err
			})
		}),
	}
}

func imageID(o view.Object) string {
	if i, ok := o.(*v1alpha1.Image); ok {
		return i.Status.ID
	}
	return o.GetName()
}

// deleteContainer removes a container. With a grace period of 0 it is killed first, with another one it is stopped first;
// without one, the engine refuses to remove a container that runs. Cascading in the foreground removes its anonymous
// volumes, too.
func (e *Engine) deleteContainer(ctx context.Context, o view.Object, options *metav1.DeleteOptions) error {
	id := o.GetName()
	remove := client.ContainerRemoveOptions{RemoveVolumes: cascades(options)}
	err := e.act(ctx, mirror.Key{Kind: mirror.Containers, ID: id}, func(ctx context.Context, engine *client.Client) error {
		remove.Force = answers.Forced(options)
		if options != nil && options.GracePeriodSeconds != nil && !remove.Force {
			seconds := int(*options.GracePeriodSeconds)
			if _, err := engine.ContainerStop(ctx, id, client.ContainerStopOptions{Timeout: &seconds}); err != nil && !errdefs.IsNotModified(err) {
				return err
			}
		}
		_, err := engine.ContainerRemove(ctx, id, remove)
		return err
	})
	if s, currentErr := e.Current(); err == nil && currentErr == nil && remove.RemoveVolumes {
		s.Await(ctx, mirror.Key{Kind: mirror.Volumes})
	}
	return err
}

// cascades reports whether what belongs to the object is to be deleted with it.
func cascades(options *metav1.DeleteOptions) bool {
	return options != nil && options.PropagationPolicy != nil && *options.PropagationPolicy == metav1.DeletePropagationForeground
}

// deleteImage removes a tag, and with the last one the image. A grace period of 0 removes it although containers use it.
func (e *Engine) deleteImage(ctx context.Context, o view.Object, options *metav1.DeleteOptions) error {
	image := imageID(o)
	if i, ok := o.(*v1alpha1.Image); ok && i.Status.RepoTag != "" {
		image = i.Status.RepoTag
	}
	return e.act(ctx, mirror.Key{Kind: mirror.Images}, func(ctx context.Context, engine *client.Client) error {
		_, err := engine.ImageRemove(ctx, image, client.ImageRemoveOptions{Force: answers.Forced(options), PruneChildren: true})
		return err
	})
}

func (e *Engine) deleteVolume(ctx context.Context, o view.Object, options *metav1.DeleteOptions) error {
	v, ok := o.(*v1alpha1.Volume)
	if !ok {
		return view.Status(http.StatusInternalServerError, "This is no volume.")
	}
	return e.act(ctx, mirror.Key{Kind: mirror.Volumes}, func(ctx context.Context, engine *client.Client) error {
		_, err := engine.VolumeRemove(ctx, v.Status.Name, client.VolumeRemoveOptions{Force: answers.Forced(options)})
		return err
	})
}

func (e *Engine) deleteNetwork(ctx context.Context, o view.Object, _ *metav1.DeleteOptions) error {
	return e.act(ctx, mirror.Key{Kind: mirror.Networks}, func(ctx context.Context, engine *client.Client) error {
		_, err := engine.NetworkRemove(ctx, o.GetName(), client.NetworkRemoveOptions{})
		return err
	})
}
