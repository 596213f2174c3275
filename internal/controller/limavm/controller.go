// Package limavm is the controller of LimaVM: it observes an object and the VM's worker, decides what
// is next with a pure function, asks the worker to do it and commits one status. It also states the
// rules by which the control plane admits writes to LimaVMs and their templates. The service sets it up.
package limavm

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/machine"
)

// Fleet runs the VMs of this host. *machine.Machines is one.
type Fleet interface {
	Validator
	State(vm string) machine.State
	Do(vm string, r machine.Request)
	Forget(vm string)
}

// Options say which VMs are this host's, and how the controller hears of them.
type Options struct {
	Host          string // runs the VMs whose spec.host names it
	OwnsEmptyHost bool   // and those whose spec.host is empty
	Wake          *Wake  // the fleet reports through it
}

// Wake puts VMs into the controller's queue, once it runs. The zero Wake is ready for use.
type Wake struct {
	queue atomic.Pointer[workqueue.TypedRateLimitingInterface[reconcile.Request]]
}

// Changed says that the fleet knows something new of vm. It never blocks, and calls coalesce. Before
// the controller runs there is nothing to do: it begins by looking at every VM.
func (w *Wake) Changed(vm string) {
	if queue := w.queue.Load(); queue != nil {
		(*queue).Add(reconcile.Request{NamespacedName: types.NamespacedName{Name: vm}})
	}
}

// Cached lists what the manager's cache has to hold for this controller, and no more of it.
func Cached() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&v1alpha1.LimaVM{}:  {},
		&corev1.ConfigMap{}: {Namespaces: map[string]cache.Config{v1alpha1.SystemNamespace: {}}},
	}
}

// Setup adds the controller to mgr, whose scheme must know core/v1 and LimaVM. Once mgr runs, looked
// blocks until each VM of this host has a status that this process has found out, not one that an
// earlier process has left.
func Setup(mgr ctrl.Manager, f Fleet, o Options) (looked func(context.Context) error, err error) {
	r := &reconciler{client: mgr.GetClient(), live: mgr.GetAPIReader(), fleet: f, options: o, memories: map[string]remembered{}, news: make(chan struct{}, 1)}
	wake := source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		o.Wake.queue.Store(&queue)
		return nil
	})
	unique := true // per process, which tests start several managers in
	return r.looked, ctrl.NewControllerManagedBy(mgr).
		Named("limavm").
		For(&v1alpha1.LimaVM{}).
		Owns(&corev1.ConfigMap{}).
		WatchesRawSource(wake).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: 4, // asking Lima about a template takes some 100 ms
			SkipNameValidation:      &unique,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](10*time.Millisecond, 30*time.Second),
		}).
		Complete(r)
}

// reconciler brings one VM at a time closer to its spec.
type reconciler struct {
	client  client.Client
	live    client.Reader // past the cache, for what it doesn't hold
	fleet   Fleet
	options Options

	mu       sync.Mutex
	memories map[string]remembered // by name of the VM
	news     chan struct{}         // holds a token when memories may have changed
}

// looked blocks until every VM that is there now has been decided on and its status is written.
func (r *reconciler) looked(ctx context.Context) error {
	vms := &v1alpha1.LimaVMList{}
	if err := r.client.List(ctx, vms); err != nil {
		return err
	}
	for i := range vms.Items {
		for vm := &vms.Items[i]; r.mine(vm) && !r.decided(ctx, vm); {
			select {
			case <-ctx.Done():
				return fmt.Errorf("look at VM %q: %w", vm.Name, context.Cause(ctx))
			case <-r.news:
			}
		}
	}
	return nil
}

// decided reports whether this process has decided on vm, or vm is gone.
func (r *reconciler) decided(ctx context.Context, vm *v1alpha1.LimaVM) bool {
	now := &v1alpha1.LimaVM{}
	if err := r.client.Get(ctx, client.ObjectKeyFromObject(vm), now); apierrors.IsNotFound(err) || err == nil && now.UID != vm.UID {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.memories[vm.Name]
	return ok && known.uid == vm.UID && known.memory.generation > 0
}

// remembered is the memory of one VM; another VM of the same name has another UID.
type remembered struct {
	uid    types.UID
	memory memory
}

func (r *reconciler) recall(vm *v1alpha1.LimaVM, seen machine.State) memory {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.memories[vm.Name]
	if !ok || known.uid != vm.UID {
		known = remembered{vm.UID, memory{exits: seen.Exits}}
		r.memories[vm.Name] = known
	}
	return known.memory
}

func (r *reconciler) remember(vm *v1alpha1.LimaVM, m memory) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.memories[vm.Name] = remembered{vm.UID, m}
	r.tell()
}

// tell wakes looked, which nobody may be waiting in.
func (r *reconciler) tell() {
	select {
	case r.news <- struct{}{}:
	default:
	}
}

func (r *reconciler) forget(vm string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.memories, vm)
}

func (r *reconciler) remembers(vm string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.memories[vm]
	return ok
}

// mine reports whether this host runs vm.
func (r *reconciler) mine(vm *v1alpha1.LimaVM) bool {
	if vm.Spec.Host == "" {
		return r.options.OwnsEmptyHost
	}
	return vm.Spec.Host == r.options.Host
}
