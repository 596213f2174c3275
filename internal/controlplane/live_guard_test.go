package controlplane

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine/objects"
	"rancherdesktop.io/rdd/internal/view"
)

func TestTheGarbageCollectorDoesNotKnowLiveKinds(t *testing.T) {
	l, err := newLive([]view.Resource{objects.Containers()})
	if err != nil {
		t.Fatal(err)
	}
	all := l.collected([]*metav1.APIResourceList{{GroupVersion: "v1"}, {GroupVersion: v1alpha1.GroupVersion.String()}, {GroupVersion: "apps/v1"}})
	if len(all) != 2 || all[0].GroupVersion != "v1" || all[1].GroupVersion != "apps/v1" {
		t.Errorf("it watches %v", all)
	}
	mapper := ownerMapper{everyKind{}, l}
	if _, err := mapper.RESTMapping(schema.GroupKind{Group: v1alpha1.GroupVersion.Group, Kind: "Container"}); !meta.IsNoMatchError(err) {
		t.Errorf("a live owner: %v", err)
	}
	if _, err := mapper.RESTMapping(schema.GroupKind{Kind: "ConfigMap"}); err != nil {
		t.Errorf("another owner: %v", err)
	}
}

// everyKind maps any kind.
type everyKind struct{ meta.ResettableRESTMapper }

func (everyKind) RESTMapping(schema.GroupKind, ...string) (*meta.RESTMapping, error) {
	return &meta.RESTMapping{}, nil
}
