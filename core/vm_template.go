package core

import (
	"cmp"
	"context"
	"errors"
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

// Template is the template that a VM is started from.
type Template struct {
	Text string
	cm   *unstructured.Unstructured
}

func (v *VMs) configMaps() dynamic.ResourceInterface {
	return v.session.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace(v1alpha1.SystemNamespace)
}

// Template returns a VM's own template.
func (v *VMs) Template(ctx context.Context, name string) (Template, error) {
	const op = "read the template of VM"
	vm, err := v.Show(ctx, name)
	if err != nil {
		return Template{}, err
	}
	own, err := v.stored(ctx, name)
	switch {
	case apierrors.IsNotFound(err) && vm.Spec.TemplateRef != nil: // as long as it has not been taken up
		own.Text, err = v.session.storedText(ctx, vm.Spec.TemplateRef.Namespace, vm.Spec.TemplateRef.Name)
	case apierrors.IsNotFound(err):
		own.Text, err = vm.Spec.Template, nil
	}
	return own, Failed(op, name, err)
}

// Version tells this text from another one that the VM had, or will have.
func (t Template) Version() string { return v1alpha1.TemplateDigest(t.Text) }

// ReadTemplate returns the whole text of the template in a file or at a URL, with all it refers to.
func (c *Core) ReadTemplate(ctx context.Context, locator string) (string, error) {
	return c.embedTemplate(ctx, locator)
}

// SetTemplate puts text in the place of the VM's template was, and waits until that is known to
// whoever runs the VM. It takes effect at the VM's next start. What Lima doesn't accept, or has been
// changed by somebody else meanwhile, is rejected. A VM that was just made takes its template up first.
func (v *VMs) SetTemplate(ctx context.Context, name string, was Template, text string, w Wait) error {
	const op = "edit the template of VM"
	w = w.fromNow()
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

// AwaitTemplate waits until whoever runs a VM knows a text that SetTemplate has put in the place of its template was.
func (v *VMs) AwaitTemplate(ctx context.Context, vm *VM, was Template, text string, w Wait) error {
	return v.await(ctx, "edit the template of VM", vm, w, vm.Expectation().TemplateObserved(v1alpha1.TemplateDigest(was.Text), v1alpha1.TemplateDigest(text)))
}

// templateStoredTimeout bounds the wait for what comes before a change can be accepted, for callers that wait for no more.
const templateStoredTimeout = 90 * time.Second

// awaitStored waits until a VM has a template of its own, and returns that. It is rejected when it is not the text that
// the caller has seen.
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

// errNoStoredTemplate ends a wait for a VM's own template that nobody makes.
var errNoStoredTemplate = errors.New("the VM has no template of its own yet, and this service runs without the controller limavm, which makes it; stop the service and run: rdd svc create --controllers '*'")

// errChangedMeanwhile rejects a change of a template that is not the one that was looked at.
var errChangedMeanwhile = &Error{Kind: Rejected, Err: errors.New("somebody else has changed it in the meantime")}

// CheckTemplate fails as SetTemplate would with the text, and changes nothing. FieldErrors says what is wrong.
func (v *VMs) CheckTemplate(ctx context.Context, name, text string) error {
	const op = "check the template of VM"
	was, err := v.stored(ctx, name)
	if err == nil {
		err = v.store(ctx, was, text, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
	}
	return Failed(op, name, err)
}

// store puts text in the place of the template was, if that is still there.
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

// checkText says whether text can be a template at all. What it may say is for Lima to judge.
func checkText(text string) error {
	if err := templatetext.Check([]byte(text)); err != nil {
		return &Error{Kind: Rejected, Err: err}
	}
	return nil
}

// rejectedError is what the control plane has against a request, in the words of a user.
type rejectedError struct {
	message string
	err     error // as it came, for FieldErrors
}

func (e *rejectedError) Error() string { return e.message }
func (e *rejectedError) Unwrap() error { return e.err }

// rejection is what the control plane has against a VM or its template, without the names of the
// objects that they are kept in.
func rejection(err error) error {
	if apierrors.IsConflict(err) {
		return &Error{Kind: Rejected, Err: &rejectedError{"somebody else has changed it in the meantime", err}}
	}
	var why []string
	for _, f := range FieldErrors(err) {
		why = append(why, f.String())
	}
	if why == nil {
		return err
	}
	return &Error{Kind: Rejected, Err: &rejectedError{strings.Join(why, "; "), err}}
}

// stored is a VM's own template, in the ConfigMap that it owns.
func (v *VMs) stored(ctx context.Context, name string) (Template, error) {
	cm, err := v.configMaps().Get(ctx, v1alpha1.TemplateConfigMapName(name), metav1.GetOptions{})
	if err != nil {
		return Template{}, err
	}
	text, _, err := unstructured.NestedString(cm.Object, "data", v1alpha1.TemplateKey)
	return Template{text, cm}, err
}
