package core

import (
	"errors"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// FieldError is what is wrong with one field of a request.
type FieldError struct {
	Field   string // of the object, such as metadata.name; Lima's own after it, such as spec.template.cpus
	Message string
}

// templateFields are the fields of our objects that hold or name a template, and values for it.
var templateFields = []string{"spec.templateRef", "spec.template", "spec.params", "data.template"}

// String is the message after the field that the user knows: of the template, or of the VM.
func (f FieldError) String() string {
	field := strings.TrimPrefix(f.Field, "spec.")
	for _, holder := range templateFields {
		if f.Field == holder || f.Field == holder+".name" {
			return f.Message
		}
		if limas, ok := strings.CutPrefix(f.Field, holder+"."); ok {
			field = limas
			break
		}
	}
	return field + ": " + f.Message
}

// FieldErrors lists the fields that the control plane rejected; none when err is about something else.
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
		// Lima's field stands before its message.
		if field, message, found := strings.Cut(f.Message, ": "); found && !strings.ContainsAny(field, " \n") {
			f.Field, f.Message = f.Field+"."+field, message
		}
		all = append(all, f)
	}
	return all
}
