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

// change patches the spec and waits until the VM runs, or has stopped, as of that change.
func (v *VMs) change(ctx context.Context, op, name string, spec map[string]any, w Wait) error {
	w = w.fromNow()
	vm, err := v.patch(ctx, op, name, spec)
	if err != nil {
		return err
	}
	w.log = v.bootLog(vm)
	return v.await(ctx, op, vm, w, vm.Expectation().Running)
}

// bootLog is where the guest's console goes if the VM is to boot.
func (v *VMs) bootLog(vm *VM) string {
	if !vm.Spec.Running {
		return ""
	}
	return layout.Of(v.session.core.inst, vm.Name).SerialLog()
}

// patch merges spec into the VM's and returns the VM with the generation that the server gave it.
func (v *VMs) patch(ctx context.Context, op, name string, spec map[string]any) (*VM, error) {
	patch, err := json.Marshal(map[string]any{"spec": spec})
	if err != nil {
		return nil, Failed(op, name, err)
	}
	obj, err := v.resource().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return nil, Failed(op, name, v.explain(name, rejection(err)))
	}
	vm, err := decode(obj)
	return vm, Failed(op, name, err)
}

// await follows the VM until check decides, and passes on its progress.
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

// errNoController ends a wait for what nobody works on.
var errNoController = errors.New("the change was accepted, but this service runs without the controller limavm, so nothing carries it out; stop the service and run: rdd svc create --controllers '*'")

// runs says whether somebody runs the controller: this instance's service, or, for all that is known
// here, that of another host which shares the store.
func (c *Core) runs(controller string) bool {
	config, err := lifecycle.LoadConfig(c.inst)
	return err != nil || config.DatastoreEndpoint != "" || config.Runs(controller)
}

// Follow waits until the last request about the VM, by any client, is done: it runs, has stopped, or is gone.
func (v *VMs) Follow(ctx context.Context, name string, w Wait) error {
	const op = "follow VM"
	w = w.fromNow()
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

// reportVM passes on what the VM's status says is under way.
func (o *operation) reportVM(vm *VM) {
	if p := vm.Status.Progress; p != nil {
		o.report(eventOf(p))
		return
	}
	if failure, permanent := vm.Failure(); failure != nil && !permanent {
		o.report(Event{Phase: phaseRetry, Message: failure.Message})
	}
}

// explain replaces the API's "not found" by words of the user's world.
func (v *VMs) explain(name string, err error) error {
	if !apierrors.IsNotFound(err) {
		return err
	}
	missing := errors.New("there is no such VM; see: rdd vm list")
	if vm := layout.Of(v.session.core.inst, name); filepath.IsLocal(name) && vm.Orphaned() {
		missing = fmt.Errorf("the service has no object for the VM in %[1]s; adopt it with: rdd vm adopt %[2]s; or delete it and its disk with: rdd vm delete %[2]s --orphan", vm.Dir(), name)
	}
	return &Error{Kind: NotFound, Err: missing}
}
