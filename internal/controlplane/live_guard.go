package controlplane

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiadmission "k8s.io/apiserver/pkg/admission"

	"rancherdesktop.io/rdd/internal/view"
)

// notHere is the answer for clients who would create or change live objects, or delete what can't be deleted.
func notHere(r view.Resource, verb string) error {
	if verb == "delete" || verb == "deletecollection" {
		return apierrors.NewMethodNotSupported(r.Version.WithResource(r.Name).GroupResource(), verb)
	}
	return view.Status(http.StatusMethodNotAllowed, fmt.Sprintf(
		"%s are a live view of what the container engine has, so they can't be created or changed here: use the engine's own commands, for example: %s", r.Name, r.Instead))
}

// ownerRule refuses live objects as owners: while the engine is stopped there are none, and the garbage collector deletes
// what has lost its owner.
type ownerRule struct{ live live }

var _ apiadmission.ValidationInterface = ownerRule{}

// Handles says which writes are looked at.
func (ownerRule) Handles(op apiadmission.Operation) bool {
	return op == apiadmission.Create || op == apiadmission.Update
}

// Validate refuses a new owner reference to a live object.
func (o ownerRule) Validate(_ context.Context, a apiadmission.Attributes, _ apiadmission.ObjectInterfaces) error {
	owners := o.owners(a.GetObject())
	if len(owners) == 0 {
		return nil
	}
	before := o.owners(a.GetOldObject())
	for _, owner := range owners {
		if !slices.ContainsFunc(before, func(b metav1.OwnerReference) bool { return b.UID == owner.UID }) {
			return apiadmission.NewForbidden(a, fmt.Errorf(
				"metadata.ownerReferences: a %s can't be an owner, because it is a live view of what the container engine has, and nothing is left of it while the engine is stopped", owner.Kind))
		}
	}
	return nil
}

// owners are the live objects that own obj.
func (o ownerRule) owners(obj runtime.Object) []metav1.OwnerReference {
	if obj == nil {
		return nil
	}
	about, err := meta.Accessor(obj)
	if err != nil {
		return nil // no object, such as a review
	}
	return slices.DeleteFunc(slices.Clone(about.GetOwnerReferences()), func(r metav1.OwnerReference) bool {
		version, err := schema.ParseGroupVersion(r.APIVersion)
		return err != nil || !o.live.has(version.Group)
	})
}

// collected leaves out the kinds that the garbage collector must not watch: nothing owns live objects, and they own nothing.
func (l live) collected(all []*metav1.APIResourceList) []*metav1.APIResourceList {
	return slices.DeleteFunc(all, func(list *metav1.APIResourceList) bool {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		return err == nil && l.has(version.Group)
	})
}

// ownerMapper doesn't know live kinds, so that the garbage collector never takes one that is gone for a reason to delete
// something: such references may be in a store that another program writes to.
type ownerMapper struct {
	meta.ResettableRESTMapper
	live live
}

// RESTMapping returns how to find objects of a kind that can be an owner.
func (m ownerMapper) RESTMapping(kind schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	if m.live.has(kind.Group) {
		return nil, &meta.NoKindMatchError{GroupKind: kind, SearchedVersions: versions}
	}
	return m.ResettableRESTMapper.RESTMapping(kind, versions...)
}
