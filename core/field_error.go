package core

import (
	"errors"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// FieldError is an error in one field of a request.
type FieldError struct {
	Field   string // of the object, such as metadata.name; a field of a template follows it, as in spec.template.cpus
	Message string
}

// templateFields are the fields of objects that contain or refer to a template or its params.
var templateFields = []string{"spec.templateRef", "spec.template", "spec.params", "data.template"}

// String returns the message with the field of the template or the VM, as users know it.
func (f FieldError) String() string {
	field := strings.TrimPrefix(f.Field, "spec.")
	for _, holder := range templateFields {
		if f.Field == holder || f.Field == holder+".name" {
			return f.Message
		}
		if inner, ok := strings.CutPrefix(f.Field, holder+"."); ok {
			field = inner
			break
		}
	}
	return field + ": " + f.Message
}

// FieldErrors lists the errors in the fields of a request that the control plane rejected.
func FieldErrors(err error) []FieldError {
	var status apierrors.APIStatus
	switch {
	case apierrors.IsAlreadyExists(err):
		return []FieldError{{"metadata.name", "a VM with this name already exists; choose another name"}}
	case !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil:
		return nil
	}
	var all []FieldError
	for _, cause := range status.Status().Details.Causes {
		f := FieldError{cause.Field, strings.TrimPrefix(cause.Message, "Invalid value: ")}
		// The message begins with the field of the template.
		if field, message, found := strings.Cut(f.Message, ": "); found && !strings.ContainsAny(field, " \n") {
			f.Field, f.Message = f.Field+"."+field, message
		}
		all = append(all, f)
	}
	return all
}
