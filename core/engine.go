package core

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	containers "rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
)

// ContainerStatus is what the engine says about a container.
type ContainerStatus = containers.ContainerStatus

// ContainerState is what a container is doing.
type ContainerState = containers.ContainerState

// ContainerRunning is the state of a container that runs.
const ContainerRunning = containers.ContainerRunning

// ImageStatus is what the engine says about an image.
type ImageStatus = containers.ImageStatus

// VolumeStatus is what the engine says about a volume.
type VolumeStatus = containers.VolumeStatus

// NetworkStatus is what the engine says about a network.
type NetworkStatus = containers.NetworkStatus

// ContainerAction is something that the engine does with a container.
type ContainerAction string

// The actions.
const (
	StartContainer   ContainerAction = "start"
	StopContainer    ContainerAction = "stop" // which kills it after its stop timeout
	RestartContainer ContainerAction = "restart"
	PauseContainer   ContainerAction = "pause"
	UnpauseContainer ContainerAction = "unpause"
	KillContainer    ContainerAction = "kill"
)

// Act does something with a container, named by its ID or its name, and returns when the engine has done it and the view shows
// it.
func (e *EngineObjects) Act(ctx context.Context, action ContainerAction, id string) error {
	client, err := e.client()
	if err == nil {
		err = client.Post().Resource(containers.Containers).Name(id).SubResource(string(action)).Do(ctx).Error()
	}
	return Failed(string(action)+" container", id, err)
}

// RemoveOptions says how an object of the engine is removed.
type RemoveOptions struct {
	Force   bool // docker's -f
	Volumes bool // of a container: also its anonymous volumes
}

// RemoveContainer removes a container.
func (e *EngineObjects) RemoveContainer(ctx context.Context, id string, o RemoveOptions) error {
	return e.remove(ctx, containers.Containers, "remove container", id, o)
}

// RemoveImage removes a tag, and the image with its last one.
func (e *EngineObjects) RemoveImage(ctx context.Context, object string, o RemoveOptions) error {
	return e.remove(ctx, containers.Images, "remove image", object, o)
}

// RemoveVolume removes a volume with all its files.
func (e *EngineObjects) RemoveVolume(ctx context.Context, name string, o RemoveOptions) error {
	return e.remove(ctx, containers.Volumes, "remove volume", name, o)
}

// RemoveNetwork removes a network.
func (e *EngineObjects) RemoveNetwork(ctx context.Context, id string) error {
	return e.remove(ctx, containers.Networks, "remove network", id, RemoveOptions{})
}

func (e *EngineObjects) remove(ctx context.Context, resource, op, name string, o RemoveOptions) error {
	options := metav1.DeleteOptions{}
	if o.Force {
		options.GracePeriodSeconds = new(int64)
	}
	if o.Volumes {
		foreground := metav1.DeletePropagationForeground
		options.PropagationPolicy = &foreground
	}
	return Failed(op, name, engineResource(e.session.client, resource).Delete(ctx, name, options))
}

// client returns a client for what is below an object.
func (e *EngineObjects) client() (*rest.RESTClient, error) {
	config, err := e.session.core.RESTConfig()
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, metav1.SchemeGroupVersion)
	config.APIPath, config.GroupVersion = "/apis", &containers.GroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	return rest.RESTClientFor(config)
}
