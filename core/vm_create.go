package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"rancherdesktop.io/rdd/core/template"
	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/lifecycle"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// CreateOptions are the options of a new VM.
type CreateOptions struct {
	// Template is the name of a ConfigMap, or, if it contains a / or :, a file or URL, whose text becomes part of the VM.
	Template     string
	Namespace    string              // of that ConfigMap; empty: default
	Text         string              // the text of the template; it wins over Template
	Resources    *template.Resources // nil: as in the template
	Params       map[string]string
	Acceleration v1alpha1.Acceleration // empty: Auto
	Start        bool
	DryRun       bool // let the control plane validate the VM without storing it
	// Created is called when the control plane has stored the VM. It may be nil.
	Created func(*VM)

	adopt bool // the disk exists already; see Adopt
}

// Create creates a VM, and starts it with Start. It waits until the disk exists, or until the VM runs. If ctx ends before the
// request to the control plane, no VM is created, and NothingBegan reports it. If ctx ends later, the VM stays.
func (v *VMs) Create(ctx context.Context, name string, o CreateOptions, w Wait) error {
	op := "create VM"
	if o.adopt {
		op = "adopt VM"
	}
	w = w.FromNow()
	if err := v.session.core.inst.CheckVM(name); err != nil {
		return &Error{Kind: Usage, Op: op, Object: name, Err: err}
	}
	vm := &VM{ObjectMeta: metav1.ObjectMeta{Name: name}}
	vm.APIVersion, vm.Kind = v1alpha1.GroupVersion.String(), v1alpha1.Kind
	if o.adopt {
		vm.Annotations = map[string]string{v1alpha1.AdoptAnnotation: "true"}
	}
	vm.Spec = v1alpha1.LimaVMSpec{Running: o.Start, Params: o.Params, Acceleration: o.Acceleration}
	if size, ok := layout.Of(v.session.core.inst, name).DataDiskSize(); ok && o.adopt {
		vm.Spec.DataDisk = &v1alpha1.DataDisk{Size: *resource.NewQuantity(size, resource.BinarySI)}
	}
	err := v.fillTemplate(ctx, vm, o)
	if ctx.Err() != nil {
		err = &lifecycle.NotStartedError{Err: context.Cause(ctx)}
	}
	if err == nil {
		vm, err = v.createObject(ctx, vm, o.DryRun)
	}
	if err != nil || o.DryRun {
		return Failed(op, name, err)
	}
	if o.Created != nil {
		o.Created(vm)
	}
	check := vm.Expectation().Created
	if o.Start {
		check = vm.Expectation().Running
	}
	w.log = v.bootLog(vm)
	err = v.await(ctx, op, vm, w, check)
	var failure *v1alpha1.FailedError
	if errors.As(err, &failure) && failure.Reason == v1alpha1.ReasonCreateFailed && !o.adopt {
		if left := v.deleteObject(ctx, "delete VM", vm, Wait{Timeout: undoTimeout}); left != nil { // a failed Create changes nothing
			err = fmt.Errorf("%w; it could not be deleted: %v", err, left) //nolint:errorlint // the failure of the creation determines the kind
		}
	}
	return err
}

// undoTimeout limits the deletion of a VM whose creation has failed. It has no disk yet.
const undoTimeout = 30 * time.Second

// createTimeout is how long createObject waits for the response after ctx has ended. The response says whether a VM has been
// created.
const createTimeout = 10 * time.Second

// createObject creates the object of a VM, or only validates it in a dry run.
func (v *VMs) createObject(ctx context.Context, vm *VM, dryRun bool) (*VM, error) {
	obj, err := runtime.DefaultUnstructuredConverter.ToUnstructured(vm)
	if err != nil {
		return nil, err
	}
	var options metav1.CreateOptions
	if dryRun {
		options.DryRun = []string{metav1.DryRunAll}
	}
	ctx, cancel := outlasting(ctx, createTimeout)
	defer cancel()
	created, err := v.resource().Create(ctx, &unstructured.Unstructured{Object: obj}, options)
	if err != nil {
		return nil, rejection(err)
	}
	return decode(created)
}

// outlasting returns a context that ends d after ctx does.
func outlasting(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(d, func() { cancel(context.Cause(ctx)) }) })
	return late, func() { stop(); cancel(nil) }
}

// fillTemplate sets the template of a new VM.
func (v *VMs) fillTemplate(ctx context.Context, vm *VM, o CreateOptions) (err error) {
	text := o.Text
	switch {
	case text != "":
	case strings.ContainsAny(o.Template, "/:"):
		if o.Namespace != "" {
			return &Error{Kind: Usage, Err: fmt.Errorf("--namespace %[2]s is for the name of a ConfigMap, but %[1]q is a file or URL; omit --namespace", o.Template, o.Namespace)}
		}
		text, err = v.session.core.ReadTemplate(ctx, o.Template)
	case o.Resources != nil:
		text, err = v.session.storedText(ctx, o.Namespace, o.Template)
	default:
		vm.Spec.TemplateRef = &v1alpha1.TemplateRef{Name: o.Template, Namespace: o.Namespace}
		return nil
	}
	if err == nil && o.Resources != nil {
		text, err = template.WithResources(text, *o.Resources)
	}
	vm.Spec.Template = text
	return cmp.Or(err, checkText(text))
}
