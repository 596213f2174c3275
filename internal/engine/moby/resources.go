package moby

import (
	"rancherdesktop.io/rdd/internal/engine/objects"
	"rancherdesktop.io/rdd/internal/view"
)

// resources are what the API server serves of the engine.
type resources struct{ containers, images, volumes, networks view.Resource }

func newResources() resources {
	return resources{objects.Containers(), objects.Images(), objects.Volumes(), objects.Networks()}
}

// Resources are what the API server serves of the engine.
func (e *Engine) Resources() []view.Resource {
	r := e.resources
	r.containers.Delete, r.containers.Subresources = e.deleteContainer, e.containerSubresources()
	r.images.Delete, r.images.Subresources = e.deleteImage, e.imageSubresources()
	r.volumes.Delete, r.volumes.Subresources = e.deleteVolume, e.volumeSubresources()
	r.networks.Delete = e.deleteNetwork
	return []view.Resource{r.containers, r.images, r.volumes, r.networks}
}
