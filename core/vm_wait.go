package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/lifecycle"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/wait"
)

// change patches the spec and waits until the VM runs or has stopped, as the spec says.
func (v *VMs) change(ctx context.Context, op, name string, spec map[string]any, w Wait) error {
	w = w.FromNow()
	vm, err := v.patch(ctx, op, name, spec)
	if err != nil {
		return err
	}
	w.log = v.bootLog(vm)
	return v.await(ctx, op, vm, w, vm.Expectation().Running)
}

// bootLog returns the path of the guest's console log if the VM is starting.
func (v *VMs) bootLog(vm *VM) string {
	if !vm.Spec.Running {
		return ""
	}
	return layout.Of(v.session.core.inst, vm.Name).SerialLog()
}

// patch merges spec into the VM's spec and returns the changed VM.
func (v *VMs) patch(ctx context.Context, op, name string, spec map[string]any) (*VM, error) {
	patch, err := json.Marshal(map[string]any{"spec": spec})
	if err != nil {
		return nil, Failed(op, name, err)
	}
	obj, err := v.resource().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return nil, Failed(op, name, v.replaceNotFound(name, rejection(err)))
	}
	vm, err := decode(obj)
	return vm, Failed(op, name, err)
}

// await watches the VM and reports its progress until check returns true or an error.
func (v *VMs) await(ctx context.Context, op string, vm *VM, w Wait, check func(seen *VM) (bool, error)) error {
	if w.Accepted {
		return nil
	}
	if !v.session.core.runs(v1alpha1.Controller) {
		return Failed(op, vm.Name, errNoController)
	}
	return w.run(ctx, op, vm.Name, func(ctx context.Context, o *operation) error {
		return wait.Until(ctx, v.session.reconnecting(vmResource, o), vm.Name, func(obj *unstructured.Unstructured) (bool, error) {
			if obj == nil {
				return check(nil)
			}
			seen, err := decode(obj)
			if err != nil {
				return false, err
			}
			o.reportVM(seen)
			return check(seen)
		})
	})
}

// errNoController ends a wait for a change that no controller will carry out.
var errNoController = errors.New("the change was accepted, but this service runs without the controller limavm, so nothing carries it out; stop the service and run: rdd svc create --controllers '*'")

// runs reports whether the controller runs: in this instance's service, or possibly in that of another host that shares the
// datastore.
func (c *Core) runs(controller string) bool {
	config, err := lifecycle.LoadConfig(c.inst)
	return err != nil || config.DatastoreEndpoint != "" || config.Runs(controller)
}

// Follow waits until the last change of the VM, by any client, is done: it runs, has stopped, or is deleted.
func (v *VMs) Follow(ctx context.Context, name string, w Wait) error {
	const op = "follow VM"
	w = w.FromNow()
	vm, err := v.Show(ctx, name)
	if err != nil {
		return Failed(op, name, errors.Unwrap(err))
	}
	if !vm.DeletionTimestamp.IsZero() {
		return v.await(ctx, op, vm, w, vm.Expectation().Deleted)
	}
	w.log = v.bootLog(vm)
	return v.await(ctx, op, vm, w, vm.Expectation().Running)
}

// reportVM reports the progress in the VM's status.
func (o *operation) reportVM(vm *VM) {
	if p := vm.Status.Progress; p != nil {
		o.report(eventOf(p))
		return
	}
	if failure, permanent := vm.Failure(); failure != nil && !permanent {
		o.report(Event{Phase: phaseRetry, Message: failure.Message})
	}
}

// replaceNotFound replaces the API's "not found" by a message for users.
func (v *VMs) replaceNotFound(name string, err error) error {
	if !apierrors.IsNotFound(err) {
		return err
	}
	missing := errors.New("there is no such VM; see: rdd vm list")
	if vm := layout.Of(v.session.core.inst, name); filepath.IsLocal(name) && vm.Orphaned() {
		missing = fmt.Errorf("the service has no object for the VM in %[1]s; adopt it with: rdd vm adopt %[2]s; or delete it and its disk with: rdd vm delete %[2]s --orphan", vm.Dir(), name)
	}
	return &Error{Kind: NotFound, Err: missing}
}
