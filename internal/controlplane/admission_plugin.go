package controlplane

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiadmission "k8s.io/apiserver/pkg/admission"

	"rancherdesktop.io/rdd/internal/admission"
)

// admissionPlugin asks the rules about each write that they guard. It runs last, when the
// object is complete, and for dry runs as well.
type admissionPlugin struct{ rules []admission.Admission }

var _ apiadmission.ValidationInterface = admissionPlugin{}

func (p admissionPlugin) Handles(op apiadmission.Operation) bool {
	return op == apiadmission.Create || op == apiadmission.Update || op == apiadmission.Delete
}

func (p admissionPlugin) Validate(ctx context.Context, a apiadmission.Attributes, o apiadmission.ObjectInterfaces) error {
	resource := a.GetResource().GroupResource()
	var review *admission.Review
	for _, rule := range p.rules {
		if !slices.Contains(rule.Resources, resource) {
			continue
		}
		if review == nil {
			r, err := reviewOf(a, o)
			if err != nil {
				return fmt.Errorf("admission of %s %q: %w", resource, a.GetName(), err)
			}
			review = &r
		}
		if err := rule.Admit(ctx, *review); err != nil {
			return rejection(err, resource, review.Name)
		}
	}
	return nil
}

func rejection(err error, resource schema.GroupResource, name string) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return err
	}
	return apierrors.NewForbidden(resource, name, err)
}

func reviewOf(a apiadmission.Attributes, o apiadmission.ObjectInterfaces) (admission.Review, error) {
	r := admission.Review{
		Operation:   admission.Operation(a.GetOperation()),
		Resource:    a.GetResource(),
		Subresource: a.GetSubresource(),
		Namespace:   a.GetNamespace(),
		Name:        a.GetName(),
		DryRun:      a.IsDryRun(),
		User:        a.GetUserInfo().GetName(),
	}
	var err error
	if r.Object, err = untyped(a.GetObject(), a.GetKind(), o); err != nil {
		return r, err
	}
	if r.Old, err = untyped(a.GetOldObject(), a.GetKind(), o); err != nil {
		return r, err
	}
	switch {
	case r.Name != "":
	case r.Object != nil: // made from generateName
		r.Name = r.Object.GetName()
	case r.Old != nil: // one of a collection that is deleted
		r.Name = r.Old.GetName()
	}
	return r, nil
}

// untyped returns obj as a client sees it in kind's version. Custom resources are
// that already; built-in kinds arrive in the server's internal form.
func untyped(obj runtime.Object, kind schema.GroupVersionKind, o apiadmission.ObjectInterfaces) (*unstructured.Unstructured, error) {
	if obj == nil {
		return nil, nil
	}
	if u, ok := obj.(*unstructured.Unstructured); ok {
		return u, nil
	}
	versioned, err := o.GetObjectCreater().New(kind)
	if err != nil {
		return nil, err
	}
	if err := o.GetObjectConvertor().Convert(obj, versioned, nil); err != nil {
		return nil, err
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(versioned)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{Object: fields}
	u.SetGroupVersionKind(kind)
	return u, nil
}
