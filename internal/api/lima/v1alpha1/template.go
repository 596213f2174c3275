package v1alpha1

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// MissingTemplateError says why there is no template where a TemplateRef points, and how to put one there.
//
// +kubebuilder:object:generate=false
type MissingTemplateError struct {
	Ref TemplateRef
	Why string
	Do  string // a command
}

func (e *MissingTemplateError) Error() string { return e.Why + "; " + e.Do }

// TemplateIn returns the template in the ConfigMap that ref names. found reports whether the ConfigMap exists; data and
// binary are its text and its binary data. The error is a *MissingTemplateError.
func TemplateIn[B any](ref TemplateRef, found bool, data map[string]string, binary map[string]B) (string, error) {
	text, has := data[TemplateKey]
	if strings.TrimSpace(text) != "" {
		return text, nil
	}
	e := &MissingTemplateError{Ref: ref}
	create := fmt.Sprintf("rdd ctl create configmap %s --namespace %s --from-file=%s=FILE", ref.Name, ref.Namespace, TemplateKey)
	if !found {
		e.Why = fmt.Sprintf("there is no ConfigMap %q in namespace %q", ref.Name, ref.Namespace)
		e.Do = "make it with: " + create
		return "", e
	}
	_, isBinary := binary[TemplateKey]
	keys := slices.Sorted(maps.Keys(data))
	keys = slices.AppendSeq(keys, maps.Keys(binary))
	e.Why = fmt.Sprintf("the ConfigMap %q in namespace %q ", ref.Name, ref.Namespace)
	switch {
	case isBinary:
		e.Why += fmt.Sprintf("has binary data under the key %q, where a template's text belongs", TemplateKey)
	case has:
		e.Why += fmt.Sprintf("has nothing under the key %q, where a template belongs", TemplateKey)
	case len(keys) == 0:
		e.Why += fmt.Sprintf("is empty: a template belongs under the key %q", TemplateKey)
	default:
		e.Why += fmt.Sprintf("has no key %q, where a template belongs; it has: %s", TemplateKey, strings.Join(keys, ", "))
	}
	e.Do = "put one there with: " + create + " --dry-run=client -o yaml | rdd ctl apply -f -"
	return "", e
}
