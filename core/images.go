package core

import (
	"context"

	containers "rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
)

// TagImage gives an image, named by its object, another name.
func (e *EngineObjects) TagImage(ctx context.Context, object, target string) error {
	client, err := e.client()
	if err == nil {
		err = client.Post().Resource(containers.Images).Name(object).SubResource("tag").Param("target", target).Do(ctx).Error()
	}
	return Failed("tag image", object, err)
}
