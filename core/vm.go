package core

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
)

// VM is a virtual machine as the control plane holds it.
type VM = v1alpha1.LimaVM

// VMs are the virtual machines of an instance.
type VMs struct{ session *Session }

// VMs returns the virtual machines of the session's instance.
func (s *Session) VMs() *VMs { return &VMs{s} }

func (v *VMs) resource() dynamic.ResourceInterface { return vmResource(v.session.client) }

func vmResource(c dynamic.Interface) dynamic.ResourceInterface {
	return c.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.Resource))
}

// CheckVMName says why a VM can't be called name.
func (c *Core) CheckVMName(name string) error {
	if err := c.inst.CheckVM(name); err != nil {
		return &Error{Kind: Usage, Op: "check the name of VM", Object: name, Err: err}
	}
	return nil
}

// Start asks for the VM to run and waits until it does. What failed for good is tried again: the
// cause, such as a missing program, may have been fixed outside the spec.
func (v *VMs) Start(ctx context.Context, name string, w Wait) error {
	spec := map[string]any{"running": true, "stopMode": v1alpha1.StopGraceful}
	if vm, err := v.Show(ctx, name); err == nil { // else the change says why not
		if _, permanent := vm.Failure(); permanent {
			spec["restartedAt"] = metav1.NowMicro()
		}
	}
	return v.change(ctx, "start VM", name, spec, w)
}

// Stop asks the VM to stop and waits until no process of it is left. Force ends it at once; what
// the guest has not written to its disk is lost.
func (v *VMs) Stop(ctx context.Context, name string, force bool, w Wait) error {
	return v.change(ctx, "stop VM", name, map[string]any{"running": false, "stopMode": stopMode(force)}, w)
}

// Restart stops the VM, starts it, and waits until it runs. Force ends the guest at once.
func (v *VMs) Restart(ctx context.Context, name string, force bool, w Wait) error {
	return v.change(ctx, "restart VM", name, map[string]any{
		"running": true, "stopMode": stopMode(force), "restartedAt": metav1.NowMicro(),
	}, w)
}

// Reset stops the VM, removes its disk with all that is on it, makes a new one from its template,
// and waits until the VM runs again, if it is to run. Force ends the guest at once.
func (v *VMs) Reset(ctx context.Context, name string, force bool, w Wait) error {
	const op = "reset VM"
	w = w.fromNow()
	vm, err := v.patch(ctx, op, name, map[string]any{"stopMode": stopMode(force), "resetAt": metav1.NowMicro()})
	if err != nil {
		return err
	}
	w.log = v.bootLog(vm)
	return v.await(ctx, op, vm, w, vm.Expectation().Reset)
}

// Force ends the VM's guest at once in whatever stops it now: a stop, a restart, a reset or a deletion.
// What the guest has not written to its disk is lost. It waits for nothing.
func (v *VMs) Force(ctx context.Context, name string) error {
	_, err := v.patch(ctx, "force VM to stop", name, map[string]any{"stopMode": v1alpha1.StopForce})
	return err
}

func stopMode(force bool) v1alpha1.StopMode {
	if force {
		return v1alpha1.StopForce
	}
	return v1alpha1.StopGraceful
}

// Delete stops the VM, removes its disk, and waits until it is gone.
func (v *VMs) Delete(ctx context.Context, name string, w Wait) error {
	const op = "delete VM"
	w = w.fromNow()
	vm, err := v.Show(ctx, name)
	if err != nil {
		return Failed(op, name, errors.Unwrap(err))
	}
	err = v.resource().Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &vm.UID}})
	if err != nil && !apierrors.IsNotFound(err) {
		return Failed(op, name, err)
	}
	return v.await(ctx, op, vm, w, vm.Expectation().Deleted)
}

// List returns every VM, by name.
func (v *VMs) List(ctx context.Context) ([]VM, error) {
	list, err := v.resource().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, Failed("list VMs", "", err)
	}
	vms := make([]VM, 0, len(list.Items))
	for i := range list.Items {
		vm, err := decode(&list.Items[i])
		if err != nil {
			return nil, Failed("list VMs", "", err)
		}
		vms = append(vms, *vm)
	}
	return vms, nil
}

// Show returns one VM.
func (v *VMs) Show(ctx context.Context, name string) (*VM, error) {
	obj, err := v.resource().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, Failed("show VM", name, v.explain(name, err))
	}
	vm, err := decode(obj)
	return vm, Failed("show VM", name, err)
}

func decode(obj *unstructured.Unstructured) (*VM, error) {
	vm := &VM{}
	obj.SetManagedFields(nil) // who set which field is kubectl's business
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, vm); err != nil {
		return nil, fmt.Errorf("read VM %q: %w", obj.GetName(), err)
	}
	return vm, nil
}
