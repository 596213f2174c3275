package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// AddToScheme adds the kinds of the group to s.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, types()...)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}

func types() []runtime.Object {
	return []runtime.Object{
		&Container{}, &ContainerList{}, &Image{}, &ImageList{}, &Volume{}, &VolumeList{}, &Network{}, &NetworkList{},
	}
}
