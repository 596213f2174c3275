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

// VM is the object of a virtual machine in the control plane.
type VM = v1alpha1.LimaVM

// VMs are the virtual machines of an instance.
type VMs struct{ session *Session }

// VMs returns the virtual machines of the session's instance.
func (s *Session) VMs() *VMs { return &VMs{s} }

func (v *VMs) resource() dynamic.ResourceInterface { return vmResource(v.session.client) }

func vmResource(c dynamic.Interface) dynamic.ResourceInterface {
	return c.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.Resource))
}

// CheckVMName reports why a VM can't have the name.
func (c *Core) CheckVMName(name string) error {
	if err := c.inst.CheckVM(name); err != nil {
		return &Error{Kind: Usage, Op: "check the name of VM", Object: name, Err: err}
	}
	return nil
}

// Start starts the VM and waits until it runs. It also retries what failed permanently, because the cause, such as a missing
// program, may have been fixed outside the spec.
func (v *VMs) Start(ctx context.Context, name string, w Wait) error {
	spec := map[string]any{"running": true, "stopMode": v1alpha1.StopGraceful}
	if vm, err := v.Show(ctx, name); err == nil { // the change reports the error
		if _, permanent := vm.Failure(); permanent {
			spec["restartedAt"] = metav1.NowMicro()
		}
	}
	return v.change(ctx, "start VM", name, spec, w)
}

// Stop stops the VM and waits until all its processes have ended. With force, it powers the VM off: the guest loses data that
// it has not written to its disk.
func (v *VMs) Stop(ctx context.Context, name string, force bool, w Wait) error {
	return v.change(ctx, "stop VM", name, map[string]any{"running": false, "stopMode": stopMode(force)}, w)
}

// Restart stops the VM, starts it, and waits until it runs. With force, it powers the VM off.
func (v *VMs) Restart(ctx context.Context, name string, force bool, w Wait) error {
	return v.change(ctx, "restart VM", name, map[string]any{
		"running": true, "stopMode": stopMode(force), "restartedAt": metav1.NowMicro(),
	}, w)
}

// Reset stops the VM, deletes its disk with all data, creates a new disk from its template, and waits until the VM runs again
// if it ran before. With force, it powers the VM off.
func (v *VMs) Reset(ctx context.Context, name string, force bool, w Wait) error {
	const op = "reset VM"
	w = w.FromNow()
	vm, err := v.patch(ctx, op, name, map[string]any{"stopMode": stopMode(force), "resetAt": metav1.NowMicro()})
	if err != nil {
		return err
	}
	w.log = v.bootLog(vm)
	return v.await(ctx, op, vm, w, vm.Expectation().Reset)
}

// Force powers off a VM that is being stopped, restarted, reset or deleted. The guest loses data that it has not written to
// its disk. Force doesn't wait.
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

// Delete stops the VM, deletes its disk, and waits until the object is gone.
func (v *VMs) Delete(ctx context.Context, name string, w Wait) error {
	const op = "delete VM"
	w = w.FromNow()
	vm, err := v.Show(ctx, name)
	if err != nil {
		return Failed(op, name, errors.Unwrap(err))
	}
	return v.deleteObject(ctx, op, vm, w)
}

// deleteObject deletes this VM, but not another one with its name, and waits until it is gone.
func (v *VMs) deleteObject(ctx context.Context, op string, vm *VM, w Wait) error {
	err := v.resource().Delete(ctx, vm.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &vm.UID}})
	if err != nil && !apierrors.IsNotFound(err) {
		return Failed(op, vm.Name, rejection(err))
	}
	return v.await(ctx, op, vm, w, vm.Expectation().Deleted)
}

// List returns all VMs by name.
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

// Show returns a VM.
func (v *VMs) Show(ctx context.Context, name string) (*VM, error) {
	obj, err := v.resource().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, Failed("show VM", name, v.replaceNotFound(name, err))
	}
	vm, err := decode(obj)
	return vm, Failed("show VM", name, err)
}

func decode(obj *unstructured.Unstructured) (*VM, error) {
	vm := &VM{}
	obj.SetManagedFields(nil) // are only for kubectl
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, vm); err != nil {
		return nil, fmt.Errorf("read VM %q: %w", obj.GetName(), err)
	}
	return vm, nil
}
