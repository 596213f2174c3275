// Package limavm is the controller of LimaVM. A reconcile
//
//  1. puts the finalizer on (reconcile.go),
//  2. observes the object, its template (template.go) and the VM's worker,
//  3. decides what is next, in a pure function (decide.go), after failures with a delay (backoff.go),
//  4. stores the template and asks the worker (reconcile.go),
//  5. writes one status (conditions.go).
//
// It also admits writes to LimaVMs and their templates (admission.go).
package limavm

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	runtimecontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/controller"
	"rancherdesktop.io/rdd/internal/machine"
)

// MachineManager runs the VMs of this host. *machine.Manager is one.
type MachineManager interface {
	// Validate asks Lima whether it accepts a template and, if a VM is named that has a disk on this host, whether the template
	// fits that disk. It returns a *machine.TemplateError when Lima rejects the template, and another error when Lima could not
	// be asked.
	Validate(ctx context.Context, vm string, template []byte, params map[string]string) error
	State(vm string) machine.State
	Do(vm string, r machine.Request)
	Forget(vm string)
	Removed(vm string)
}

// Options say which VMs belong to this host, and how the controller asks the host about them.
type Options struct {
	Host          string                          // VMs with this spec.host belong to this host
	OwnsEmptyHost bool                            // and those with an empty spec.host, too
	Events        *controller.EventSource         // reports that the state of a VM has changed
	CheckName     func(vm string) error           // says why this instance's directories can't hold a VM of that name
	CheckFolder   func(vm *v1alpha1.LimaVM) error // says why a new VM's directory can't be made

	// DataDiskSize returns the capacity of a VM's data disk on this host in bytes; ok is false when there is none.
	DataDiskSize func(vm string) (size int64, ok bool)
}

// New returns the controller of LimaVM, which runs this host's VMs in m.
func New(m MachineManager, o Options) controller.Controller {
	v := newValidator(m, o.CheckName, o.CheckFolder)
	v.dataDiskSize = o.DataDiskSize
	return controller.Controller{
		Name:        v1alpha1.Controller,
		AddToScheme: v1alpha1.AddToScheme,
		Cached:      cached(),
		Admission:   v.admission(),
		Connect:     v.live.Connect,
		Setup:       func(mgr ctrl.Manager) (func(context.Context) error, error) { return setup(mgr, m, o) },
	}
}

// cached lists the objects that the manager's cache holds for this controller.
func cached() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&v1alpha1.LimaVM{}:  {},
		&corev1.ConfigMap{}: {Namespaces: map[string]cache.Config{v1alpha1.SystemNamespace: {}}},
	}
}

// setup adds the controller to mgr, whose scheme must know core/v1 and LimaVM. See controller.Controller.
func setup(mgr ctrl.Manager, m MachineManager, o Options) (synced func(context.Context) error, err error) {
	r := &reconciler{client: mgr.GetClient(), live: mgr.GetAPIReader(), machines: m, options: o, changed: make(chan struct{}, 1)}
	unique := true // names are unique per process, and tests start several managers in one
	return r.waitSynced, ctrl.NewControllerManagedBy(mgr).
		Named(v1alpha1.Controller).
		For(&v1alpha1.LimaVM{}).
		Owns(&corev1.ConfigMap{}).
		WatchesRawSource(o.Events.Source()).
		WithOptions(runtimecontroller.Options{
			MaxConcurrentReconciles: 4, // asking Lima about a template takes some 100 ms
			SkipNameValidation:      &unique,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](10*time.Millisecond, 30*time.Second),
		}).
		Complete(r)
}

// reconciler brings one VM at a time closer to its spec.
type reconciler struct {
	client   client.Client
	live     client.Reader // reads from the API server what the cache doesn't hold
	machines MachineManager
	options  Options
	backoffs sync.Map      // of backoff, by name of the VM
	changed  chan struct{} // holds a token when backoffs may have changed
}

// waitSynced blocks until every VM that exists now was reconciled and its status is written.
func (r *reconciler) waitSynced(ctx context.Context) error {
	vms := &v1alpha1.LimaVMList{}
	if err := r.client.List(ctx, vms); err != nil {
		return err
	}
	for i := range vms.Items {
		for vm := &vms.Items[i]; r.ownedByHost(vm) && !r.synced(ctx, vm); {
			select {
			case <-ctx.Done():
				return fmt.Errorf("look at VM %q: %w", vm.Name, context.Cause(ctx))
			case <-r.changed:
			}
		}
	}
	return nil
}

// synced reports whether this process has reconciled vm, or vm is gone.
func (r *reconciler) synced(ctx context.Context, vm *v1alpha1.LimaVM) bool {
	now := &v1alpha1.LimaVM{}
	if err := r.client.Get(ctx, client.ObjectKeyFromObject(vm), now); apierrors.IsNotFound(err) || err == nil && now.UID != vm.UID {
		return true
	}
	known, _ := r.backoffs.Load(vm.Name)
	b, _ := known.(backoff)
	return b.uid == vm.UID && b.generation > 0
}

func (r *reconciler) loadBackoff(vm *v1alpha1.LimaVM, seen machine.State) backoff {
	known, _ := r.backoffs.Load(vm.Name)
	b, _ := known.(backoff)
	if b.uid != vm.UID {
		b = backoff{uid: vm.UID, exits: seen.Exits}
		r.backoffs.Store(vm.Name, b)
	}
	return b
}

// signal wakes waitSynced, if it waits.
func (r *reconciler) signal() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// ownedByHost reports whether this host runs vm.
func (r *reconciler) ownedByHost(vm *v1alpha1.LimaVM) bool {
	if vm.Spec.Host == "" {
		return r.options.OwnsEmptyHost
	}
	return vm.Spec.Host == r.options.Host
}
