package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of the engine's objects.
var GroupVersion = schema.GroupVersion{Group: "containers.rancherdesktop.io", Version: "v1alpha1"}

// Names of the resources.
const (
	Containers = "containers"
	Images     = "images"
	Volumes    = "volumes"
	Networks   = "networks"
)

// Container is a container of the engine. Its name is the engine's ID; with containerd, whose IDs are unique only within a
// namespace, it is NAMESPACE:ID.
// +kubebuilder:object:root=true
type Container struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Status            ContainerStatus `json:"status"`
}

// ContainerList is a list of Containers.
// +kubebuilder:object:root=true
type ContainerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Container `json:"items"`
}

// ContainerState is what a container is doing.
type ContainerState string

// The states of a container.
const (
	ContainerCreated    ContainerState = "created"
	ContainerRunning    ContainerState = "running"
	ContainerPaused     ContainerState = "paused"
	ContainerRestarting ContainerState = "restarting"
	ContainerRemoving   ContainerState = "removing"
	ContainerExited     ContainerState = "exited"
	ContainerDead       ContainerState = "dead"
)

// ContainerStatus is what the engine says about a container.
type ContainerStatus struct {
	// Name of the container, without the leading slash.
	Name string `json:"name"`
	// ID is the engine's ID, in full.
	ID string `json:"id"`
	// Namespace of containerd; "moby" for containers of docker.
	Namespace string `json:"namespace"`
	// Image is the reference that the container was created with.
	Image string `json:"image"`
	// ImageID is the engine's ID of that image.
	ImageID string `json:"imageID,omitempty"`
	// Command that the container runs, as one line.
	Command string `json:"command,omitempty"`
	// State is created, running, paused, restarting, removing, exited or dead.
	State ContainerState `json:"state"`
	// Health is starting, healthy or unhealthy; absent without a health check.
	Health string `json:"health,omitempty"`
	// ExitCode of the last run.
	ExitCode *int32 `json:"exitCode,omitempty"`
	// Created, StartedAt and FinishedAt are the engine's times.
	// +optional
	Created    metav1.Time  `json:"created,omitempty,omitzero"`
	StartedAt  *metav1.Time `json:"startedAt,omitempty"`
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`
	// Ports that the container publishes or exposes.
	// +listType=atomic
	Ports []ContainerPort `json:"ports,omitempty"`
	// Mounts of the container.
	// +listType=atomic
	Mounts []ContainerMount `json:"mounts,omitempty"`
	// Networks are the names of the networks that the container is connected to.
	// +listType=atomic
	Networks []string `json:"networks,omitempty"`
	// Labels of the container. metadata.labels has those that Kubernetes accepts.
	Labels map[string]string `json:"labels,omitempty"`
	// Project and Service are those of compose; absent for other containers.
	Project string `json:"project,omitempty"`
	Service string `json:"service,omitempty"`
}

// ContainerPort is a port of a container.
type ContainerPort struct {
	// Protocol is tcp, udp or sctp.
	Protocol string `json:"protocol"`
	// ContainerPort is the port in the container.
	ContainerPort int32 `json:"containerPort"`
	// HostIP is the address that the container asks for; absent when it names none, which means loopback.
	HostIP string `json:"hostIP,omitempty"`
	// HostPort is the port under which it is published; absent when it is not.
	HostPort int32 `json:"hostPort,omitempty"`
}

// ContainerMount is a volume or folder that a container uses.
type ContainerMount struct {
	// Type is bind, volume or tmpfs.
	Type string `json:"type"`
	// Name of the volume; absent for other types.
	Name string `json:"name,omitempty"`
	// Source is the path in the virtual machine.
	Source string `json:"source,omitempty"`
	// Destination is the path in the container.
	Destination string `json:"destination"`
	// ReadOnly says that the container can't change it.
	ReadOnly bool `json:"readOnly,omitempty"`
}

// Image is one tag of an image of the engine, or an image without a tag. Its name is img- and a hash.
// +kubebuilder:object:root=true
type Image struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Status            ImageStatus `json:"status"`
}

// ImageList is a list of Images.
// +kubebuilder:object:root=true
type ImageList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Image `json:"items"`
}

// ImageStatus is what the engine says about an image.
type ImageStatus struct {
	// ID is the engine's ID, for example sha256:….
	ID string `json:"id"`
	// Namespace of containerd; "moby" for images of docker.
	Namespace string `json:"namespace"`
	// RepoTag is the tag, for example docker.io/library/nginx:1.29; empty for an image without one.
	RepoTag string `json:"repoTag,omitempty"`
	// RepoDigests are the digests by which registries know the image.
	// +listType=atomic
	RepoDigests []string `json:"repoDigests,omitempty"`
	// Created is when the image was built.
	// +optional
	Created metav1.Time `json:"created,omitempty,omitzero"`
	// Size in bytes, with the layers that it shares with other images; with containerd, of what was downloaded.
	Size int64 `json:"size"`
	// Labels of the image.
	Labels map[string]string `json:"labels,omitempty"`
	// Containers are the names of the containers that use the image.
	// +listType=atomic
	Containers []string `json:"containers,omitempty"`
}

// Volume is a volume of the engine. Its name is the volume's.
// +kubebuilder:object:root=true
type Volume struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Status            VolumeStatus `json:"status"`
}

// VolumeList is a list of Volumes.
// +kubebuilder:object:root=true
type VolumeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Volume `json:"items"`
}

// VolumeStatus is what the engine says about a volume.
type VolumeStatus struct {
	// Name of the volume.
	Name string `json:"name"`
	// Driver of the volume.
	Driver string `json:"driver"`
	// Mountpoint is the path in the virtual machine.
	Mountpoint string `json:"mountpoint,omitempty"`
	// Scope is local or global.
	Scope string `json:"scope,omitempty"`
	// Created is when it was created.
	// +optional
	Created metav1.Time `json:"created,omitempty,omitzero"`
	// Labels of the volume.
	Labels map[string]string `json:"labels,omitempty"`
	// Options of the driver.
	Options map[string]string `json:"options,omitempty"`
	// Containers are the names of the containers that use the volume.
	// +listType=atomic
	Containers []string `json:"containers,omitempty"`
}

// Network is a network of the engine. Its name is the engine's ID.
// +kubebuilder:object:root=true
type Network struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Status            NetworkStatus `json:"status"`
}

// NetworkList is a list of Networks.
// +kubebuilder:object:root=true
type NetworkList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Network `json:"items"`
}

// NetworkStatus is what the engine says about a network.
type NetworkStatus struct {
	// Name of the network.
	Name string `json:"name"`
	// ID is the engine's ID.
	ID string `json:"id"`
	// Driver of the network.
	Driver string `json:"driver"`
	// Scope is local, swarm or global.
	Scope string `json:"scope,omitempty"`
	// Internal networks have no way out.
	Internal bool `json:"internal,omitempty"`
	// Subnets in CIDR notation.
	// +listType=atomic
	Subnets []string `json:"subnets,omitempty"`
	// Created is when it was created.
	// +optional
	Created metav1.Time `json:"created,omitempty,omitzero"`
	// Labels of the network.
	Labels map[string]string `json:"labels,omitempty"`
	// Containers are the names of the containers that are connected to it.
	// +listType=atomic
	Containers []string `json:"containers,omitempty"`
}
