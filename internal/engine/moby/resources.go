package moby

import "rancherdesktop.io/rdd/internal/view"

// Resources are what the API server serves of the engine.
func (e *Engine) Resources() []view.Resource {
	r := e.resources
	r.Containers.Delete, r.Containers.Subresources = e.deleteContainer, e.containerSubresources()
	r.Images.Delete, r.Images.Subresources = e.deleteImage, e.imageSubresources()
	r.Volumes.Delete, r.Volumes.Subresources = e.deleteVolume, e.volumeSubresources()
	r.Networks.Delete, r.Networks.Subresources = e.deleteNetwork, map[string]view.Subresource{"inspect": e.inspected(inspectNetwork)}
	return r.All()
}
