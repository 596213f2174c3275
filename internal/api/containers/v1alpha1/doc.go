// Package v1alpha1 defines the objects of the container engine as the control plane shows them: Container, Image, Volume
// and Network. They are a live view of what the engine has; nothing of them is stored. It imports none of our packages.
// +kubebuilder:object:generate=true
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=io.rancherdesktop.containers.v1alpha1
// +kubebuilder:skip
// +groupName=containers.rancherdesktop.io
package v1alpha1
