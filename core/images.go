package core

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	containers "rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
)

// TagImage gives an image, named by its object, another name. A bad name is a Usage error.
func (e *EngineObjects) TagImage(ctx context.Context, object, target string) error {
	client, err := e.client()
	if err == nil {
		err = client.Post().Resource(containers.Images).Name(object).SubResource("tag").Param("target", target).Do(ctx).Error()
	}
	if apierrors.IsBadRequest(err) { // it can only be the target
		err = &Error{Kind: Usage, Err: err}
	}
	return Failed("tag image", object, err)
}
