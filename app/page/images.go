package page

import (
	"context"
	"slices"

	"rancherdesktop.io/rdd/app/operation"
	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/image"
)

// The parameters of the methods for images.
type (
	// PullParams is an image to download.
	PullParams struct {
		Reference string `json:"reference"`
		Platform  string `json:"platform,omitempty"` // such as linux/arm64; empty: the engine's own
	}
	// PushParams is an image to upload.
	PushParams struct {
		Reference string `json:"reference"`
	}
	// BuildParams is an image to build from a folder.
	BuildParams struct {
		Folder     string            `json:"folder"`               // an absolute path
		Dockerfile string            `json:"dockerfile,omitempty"` // in the folder; empty: Dockerfile
		Tag        string            `json:"tag,omitempty"`
		Target     string            `json:"target,omitempty"` // the stage to build; empty: the last one
		Args       map[string]string `json:"args,omitempty"`
		NoCache    bool              `json:"noCache,omitempty"`
		Pull       bool              `json:"pull,omitempty"` // look for newer base images
	}
	// LoadParams is an archive of images.
	LoadParams struct {
		Path string `json:"path"`
	}
	// SaveParams is images to save to a new file.
	SaveParams struct {
		References []string `json:"references"`
		Path       string   `json:"path"`
	}
	// TagParams is a new name for an image.
	TagParams struct {
		Image  string `json:"image"` // an object
		Target string `json:"target"`
	}
	// DeleteImagesParams is images to delete.
	DeleteImagesParams struct {
		Objects []string `json:"objects"`
		Force   bool     `json:"force,omitempty"` // also those that containers use
	}
	// PruneParams says what to prune.
	PruneParams struct {
		What string `json:"what"` // containers, images, volumes, networks or buildCache
		All  bool   `json:"all,omitempty"`
	}
)

func pullImage(e *operation.Engine, params PullParams) operation.Work {
	return e.PullImage(params.Reference, params.Platform)
}

func pushImage(e *operation.Engine, params PushParams) operation.Work {
	return e.PushImage(params.Reference)
}

func buildImage(e *operation.Engine, params BuildParams) operation.Work {
	return e.BuildImage(image.BuildOptions(params))
}

func loadImages(e *operation.Engine, params LoadParams) operation.Work {
	return e.LoadImages(params.Path)
}

func saveImages(e *operation.Engine, params SaveParams) operation.Work {
	return e.SaveImages(params.References, params.Path)
}

func (a *API) prune(_ context.Context, params PruneParams) (Ref, error) {
	if !slices.Contains(image.Prunable(), params.What) {
		return Ref{}, badField("what", "what: want one of %q; got %q", image.Prunable(), params.What)
	}
	engine := a.current().engine
	return begun(engine.Begin(engine.Prune(params.What, params.All)))
}

func (a *API) imageTag(ctx context.Context, params TagParams) (nothing, error) {
	session, err := a.current().core.ConnectApp(ctx)
	if err != nil {
		return nothing{}, err
	}
	err = session.Engine().TagImage(ctx, params.Image, params.Target)
	return nothing{}, inField(err, map[core.Kind]string{core.Usage: "target"})
}

func (a *API) imageDelete(ctx context.Context, params DeleteImagesParams) ([]Failure, error) {
	return a.onEach(ctx, params.Objects, func(ctx context.Context, engine *core.EngineObjects, object string) error {
		return engine.RemoveImage(ctx, object, core.RemoveOptions{Force: params.Force})
	})
}
