package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/templatetext"
)

// Template is the template of a VM's next start.
type Template struct {
	Text string
	cm   *unstructured.Unstructured
}

func (v *VMs) configMaps() dynamic.ResourceInterface {
	return v.session.configMaps(v1alpha1.SystemNamespace)
}

// Template returns a VM's template.
func (v *VMs) Template(ctx context.Context, name string) (Template, error) {
	const op = "read the template of VM"
	vm, err := v.Show(ctx, name)
	if err != nil {
		return Template{}, err
	}
	own, err := v.stored(ctx, name)
	switch {
	case apierrors.IsNotFound(err) && vm.Spec.TemplateRef != nil: // the controller has not stored it yet
		own.Text, err = v.session.storedText(ctx, vm.Spec.TemplateRef.Namespace, vm.Spec.TemplateRef.Name)
	case apierrors.IsNotFound(err):
		own.Text, err = vm.Spec.Template, nil
	}
	return own, Failed(op, name, err)
}

// Version identifies this text among the VM's templates.
func (t Template) Version() string { return v1alpha1.TemplateDigest(t.Text) }

// SetTemplate replaces the VM's template was by text, and waits until the controller has seen the change. It takes effect at
// the VM's next start. It is rejected if Lima doesn't accept the text, or if the template is no longer was. For a new VM, it
// first waits until the controller has stored the template.
func (v *VMs) SetTemplate(ctx context.Context, name string, was Template, text string, w Wait) error {
	const op = "edit the template of VM"
	w = w.FromNow()
	vm, err := v.Show(ctx, name)
	if err == nil && was.cm == nil {
		was, err = v.awaitStored(ctx, op, vm, was, w)
	}
	if err != nil {
		return err
	}
	if err := v.store(ctx, was, text, metav1.UpdateOptions{}); err != nil {
		return Failed(op, name, rejection(err))
	}
	return v.AwaitTemplate(ctx, vm, was, text, w)
}

// AwaitTemplate waits until the controller has seen that SetTemplate has replaced the template was by text.
func (v *VMs) AwaitTemplate(ctx context.Context, vm *VM, was Template, text string, w Wait) error {
	return v.await(ctx, "edit the template of VM", vm, w, vm.Expectation().TemplateObserved(v1alpha1.TemplateDigest(was.Text), v1alpha1.TemplateDigest(text)))
}

// templateStoredTimeout limits the wait for a stored template for callers that only want their change accepted.
const templateStoredTimeout = 90 * time.Second

// awaitStored waits until the controller has stored a VM's template, and returns it. It is rejected if it is not the text
// that the caller has seen.
func (v *VMs) awaitStored(ctx context.Context, op string, vm *VM, seen Template, w Wait) (Template, error) {
	if !v.session.core.runs(v1alpha1.Controller) {
		return Template{}, Failed(op, vm.Name, errNoStoredTemplate)
	}
	if w.Accepted {
		w.Accepted, w.Timeout = false, cmp.Or(w.Timeout, templateStoredTimeout)
	}
	if err := v.await(ctx, op, vm, w, vm.Expectation().TemplateStored); err != nil {
		return Template{}, err
	}
	own, err := v.stored(ctx, vm.Name)
	if err == nil && own.Text != seen.Text {
		err = errChangedMeanwhile
	}
	return own, Failed(op, vm.Name, err)
}

// errNoStoredTemplate ends a wait for a VM's stored template that no controller will store.
var errNoStoredTemplate = errors.New("the VM has no stored template yet, and this service runs without the controller limavm, which stores it; stop the service and run: rdd svc create --controllers '*'")

// errChangedMeanwhile rejects the change of a template that is not the one that the caller has seen.
var errChangedMeanwhile = &Error{Kind: Rejected, Err: errors.New("somebody else has changed it in the meantime")}

// CheckTemplate returns the error that SetTemplate would return, and changes nothing. FieldErrors lists the fields in it.
func (v *VMs) CheckTemplate(ctx context.Context, name, text string) error {
	const op = "check the template of VM"
	was, err := v.stored(ctx, name)
	if err == nil {
		err = v.store(ctx, was, text, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
	}
	return Failed(op, name, err)
}

// EditRefused returns why nobody may change a VM's template, whatever the new text is. It changes nothing.
func (v *VMs) EditRefused(ctx context.Context, name string, was Template) error {
	if was.cm == nil {
		return nil
	}
	err := v.store(ctx, was, was.Text, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
	if !apierrors.IsForbidden(err) { // anything else is a matter of the text
		return nil
	}
	return Failed("edit the template of VM", name, rejection(err))
}

// store replaces the template was by text, if was is still the current one.
func (v *VMs) store(ctx context.Context, was Template, text string, options metav1.UpdateOptions) error {
	if err := checkText(text); err != nil {
		return err
	}
	cm := was.cm.DeepCopy()
	if err := unstructured.SetNestedField(cm.Object, text, "data", v1alpha1.TemplateKey); err != nil {
		return err
	}
	_, err := v.configMaps().Update(ctx, cm, options)
	return err
}

// checkText reports why text can't be a template. Lima validates its content.
func checkText(text string) error {
	if err := templatetext.Check([]byte(text)); err != nil {
		return &Error{Kind: Rejected, Err: err}
	}
	return nil
}

// rejectedError is a rejection by the control plane with a message for users.
type rejectedError struct {
	message string
	err     error // from the control plane, for FieldErrors
}

func (e *rejectedError) Error() string { return e.message }
func (e *rejectedError) Unwrap() error { return e.err }

// rejection returns the control plane's rejection of a VM or its template without the names of the objects that contain
// them. It returns other errors unchanged.
func rejection(err error) error {
	if apierrors.IsConflict(err) {
		return errChangedMeanwhile
	}
	var status apierrors.APIStatus
	if apierrors.IsForbidden(err) && errors.As(err, &status) && status.Status().Details != nil {
		refused := status.Status()
		of := schema.GroupResource{Group: refused.Details.Group, Resource: refused.Details.Kind}
		message := strings.TrimPrefix(refused.Message, fmt.Sprintf("%s %q is forbidden: ", of, refused.Details.Name))
		return &Error{Kind: Rejected, Err: &rejectedError{message, err}}
	}
	var messages []string
	for _, f := range FieldErrors(err) {
		messages = append(messages, f.String())
	}
	if messages == nil {
		return err
	}
	return &Error{Kind: Rejected, Err: &rejectedError{strings.Join(messages, "; "), err}}
}

// stored returns a VM's stored template, which is in a ConfigMap that the VM owns.
func (v *VMs) stored(ctx context.Context, name string) (Template, error) {
	cm, err := v.configMaps().Get(ctx, v1alpha1.TemplateConfigMapName(name), metav1.GetOptions{})
	if err != nil {
		return Template{}, err
	}
	text, _, err := unstructured.NestedString(cm.Object, "data", v1alpha1.TemplateKey)
	return Template{text, cm}, err
}
