package containerd

import (
	"context"
	"net/http"
	"strings"

	images "github.com/containerd/containerd/api/services/images/v1"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/distribution/reference"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine/answers"
	"rancherdesktop.io/rdd/internal/engine/mirror"
	"rancherdesktop.io/rdd/internal/view"
)

func (e *Engine) imageSubresources() map[string]view.Subresource {
	return map[string]view.Subresource{"tag": answers.Action(func(r *http.Request, o view.Object) error {
		target := r.URL.Query().Get("target")
		if target == "" {
			return view.Status(http.StatusBadRequest, "The query needs target=REPOSITORY:TAG, for example ?target=shop:2.")
		}
		named, err := reference.ParseDockerRef(target)
		if err != nil {
			return view.Status(http.StatusBadRequest, err.Error())
		}
		return e.Act(r.Context(), mirror.Key{Kind: mirror.Images}, func(ctx context.Context, s *session) error {
			ctx, all, err := s.namesOf(ctx, o)
			if err != nil {
				return err
			}
			if len(all) == 0 {
				return view.Status(http.StatusNotFound, "The image is gone.")
			}
			tagged := &images.Image{Name: named.String(), Target: all[0].GetTarget(), Labels: all[0].GetLabels()}
			_, err = s.images.Create(ctx, &images.CreateImageRequest{Image: tagged})
			if errdefs.IsAlreadyExists(errgrpc.ToNative(err)) {
				_, err = s.images.Update(ctx, &images.UpdateImageRequest{Image: tagged})
			}
			return err
		})
	})}
}

// namesOf returns all of containerd's images that are the one of an object. The returned context is for its namespace.
func (s *session) namesOf(ctx context.Context, o view.Object) (context.Context, []*images.Image, error) {
	i, ok := o.(*v1alpha1.Image)
	if !ok {
		return ctx, nil, view.Status(http.StatusInternalServerError, "This is no image.")
	}
	ctx = in(ctx, i.Status.Namespace)
	list, err := s.images.List(ctx, &images.ListImagesRequest{Filters: []string{"target.digest==" + i.Status.ID}})
	return ctx, list.GetImages(), err
}

// deleteImage removes a tag, and with the last one the image, unless containers use it. A grace period of 0 removes it
// although they do.
func (e *Engine) deleteImage(ctx context.Context, o view.Object, options *metav1.DeleteOptions) error {
	return e.Act(ctx, mirror.Key{Kind: mirror.Images}, func(ctx context.Context, s *session) error {
		ctx, all, err := s.namesOf(ctx, o)
		if err != nil {
			return err
		}
		i := o.(*v1alpha1.Image).Status //nolint:forcetypeassert // namesOf has checked it
		names, tags := []string{i.RepoTag}, 0
		for _, other := range all {
			if isTag(other.GetName()) {
				tags++
			}
		}
		if tags <= 1 { // the references with digests go with the last tag
			if len(i.Containers) > 0 && !answers.Forced(options) {
				return conflict("These containers use the image: %s. Remove them first, or force its removal.", strings.Join(i.Containers, ", "))
			}
			names = nil
			for _, other := range all {
				names = append(names, other.GetName())
			}
		}
		for _, name := range names {
			if _, err := s.images.Delete(ctx, &images.DeleteImageRequest{Name: name, Sync: true}); err != nil && !isNotFound(err) {
				return err
			}
		}
		return nil
	})
}
