package core

import (
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// A refused change is told in the words of its user, without the names of the objects that hold it.
func TestARefusedChangeIsToldInItsUsersWords(t *testing.T) {
	invalid := func(errs ...*field.Error) error {
		return apierrors.NewInvalid(schema.GroupKind{Group: "app.rancherdesktop.io", Kind: "App"}, "app", errs)
	}
	at := field.NewPath("spec", "virtualMachine")
	for _, tc := range []struct {
		err  error
		want string
	}{
		{invalid(field.Invalid(at.Child("memory"), "1Mi", "must be at least 1Gi")), `virtualMachine.memory: "1Mi": must be at least 1Gi`},
		{invalid(field.Invalid(at.Child("cpus"), 255, "this host has 2 processors")), `virtualMachine.cpus: 255: this host has 2 processors`},
		{
			invalid(field.Invalid(at.Child("cpus"), 255, "too many"), field.Forbidden(field.NewPath("spec", "kubernetes"), "not available")),
			"virtualMachine.cpus: 255: too many; kubernetes: not available",
		},
		{invalid(field.Invalid(field.NewPath("spec", "template"), field.OmitValueType{}, "param.colour: is not used")), "param.colour: is not used"},
		{
			apierrors.NewForbidden(schema.GroupResource{Group: "lima.rancherdesktop.io", Resource: "limavms"}, "rd", errors.New("it is the App's virtual machine; use: rdd stop")),
			"it is the App's virtual machine; use: rdd stop",
		},
	} {
		err := rejection(tc.err)
		if err.Error() != tc.want || KindOf(err) != Rejected {
			t.Errorf("%v (%v), want %s", err, KindOf(err), tc.want)
		}
	}
}
