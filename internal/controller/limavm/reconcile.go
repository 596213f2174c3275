package limavm

import (
	"context"
	"fmt"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/controller"
	"rancherdesktop.io/rdd/internal/machine"
)

// progressInterval is the shortest time between two status writes in which only the bytes of the progress differ.
const progressInterval = 500 * time.Millisecond

// Reconcile implements reconcile.Reconciler. It returns at once: the VM's worker does the slow work, and puts the VM into the
// queue again when its state has changed.
func (r *reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	vm := &v1alpha1.LimaVM{}
	if err := r.client.Get(ctx, req.NamespacedName, vm); err != nil {
		if apierrors.IsNotFound(err) {
			r.handleOrphan(req.Name)
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, err
	}
	if !r.ownedByHost(vm) {
		return ctrl.Result{}, nil
	}
	held, err := r.addFinalizer(ctx, vm)
	if err != nil || !held {
		return ctrl.Result{}, ignoreStale(err)
	}
	o, err := r.observe(ctx, vm)
	if err != nil {
		return ctrl.Result{}, err
	}
	d := decide(o)
	if err := r.act(ctx, o, d); err != nil {
		return ctrl.Result{}, ignoreStale(err)
	}
	if d.removeFinalizer {
		return ctrl.Result{}, nil
	}
	after, err := r.commit(ctx, o, d)
	return ctrl.Result{RequeueAfter: after}, ignoreStale(err)
}

// ignoreStale drops errors that say that the object was changed or removed meanwhile: the watch reports that, too.
func ignoreStale(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// addFinalizer adds the finalizer before anything is done for vm. It returns false for a VM that is being deleted and doesn't
// have the finalizer: then there is nothing to do.
func (r *reconciler) addFinalizer(ctx context.Context, vm *v1alpha1.LimaVM) (bool, error) {
	if controllerutil.ContainsFinalizer(vm, v1alpha1.Finalizer) {
		return true, nil
	}
	if !vm.DeletionTimestamp.IsZero() {
		return false, nil
	}
	was := vm.DeepCopy()
	controllerutil.AddFinalizer(vm, v1alpha1.Finalizer)
	if err := r.client.Patch(ctx, vm, controller.OptimisticPatch(was)); err != nil {
		return false, err
	}
	return true, nil
}

func (r *reconciler) observe(ctx context.Context, vm *v1alpha1.LimaVM) (observation, error) {
	o := observation{vm: vm, state: r.machines.State(vm.Name), now: time.Now()}
	o.backoff = r.loadBackoff(vm, o.state)
	if !vm.DeletionTimestamp.IsZero() {
		return o, nil
	}
	owned, err := ownedTemplate(ctx, r.client, vm)
	if err != nil {
		return o, err
	}
	if owned != "" {
		o.template, o.templateStored = owned, true
		return o, nil
	}
	o.template, o.refused = r.resolveTemplate(ctx, vm)
	return o, nil
}

// act carries out the decision. It stores the template before it asks the worker.
func (r *reconciler) act(ctx context.Context, o observation, d decision) error {
	if d.storeTemplate {
		if err := r.storeTemplate(ctx, o.vm, o.template); err != nil {
			return err
		}
	}
	if d.request.Action != machine.None {
		r.machines.Do(o.vm.Name, d.request)
	}
	if !d.removeFinalizer {
		return nil
	}
	r.machines.Removed(o.vm.Name)
	was := o.vm.DeepCopy()
	controllerutil.RemoveFinalizer(o.vm, v1alpha1.Finalizer)
	if err := r.client.Patch(ctx, o.vm, controller.OptimisticPatch(was)); err != nil {
		return err
	}
	r.backoffs.Delete(o.vm.Name)
	return nil
}

// commit writes the status if it has changed, and then stores the backoff. It returns when to reconcile again; 0 means when
// something changes.
func (r *reconciler) commit(ctx context.Context, o observation, d decision) (after time.Duration, err error) {
	after = d.requeueAfter
	wait := d.backoff.lastWrite.Add(progressInterval).Sub(o.now)
	switch {
	case apiequality.Semantic.DeepEqual(o.vm.Status, d.status):
	case wait > 0 && differInProgress(o.vm.Status, d.status):
		if after == 0 || wait < after {
			after = wait
		}
	default:
		was := o.vm.DeepCopy()
		o.vm.Status = d.status
		if err := r.client.Status().Patch(ctx, o.vm, controller.OptimisticPatch(was)); err != nil {
			return 0, fmt.Errorf("write the status of VM %q: %w", o.vm.Name, err)
		}
		d.backoff.lastWrite = o.now
	}
	r.backoffs.Store(o.vm.Name, d.backoff)
	r.signal()
	return after, nil
}

// handleOrphan stops a VM whose object is gone although this controller has not removed the finalizer. It keeps the disk.
func (r *reconciler) handleOrphan(vm string) {
	defer r.signal()
	if _, ours := r.backoffs.Load(vm); !ours {
		return
	}
	switch r.machines.State(vm).Phase {
	case machine.Preparing, machine.Starting, machine.Running:
		r.machines.Do(vm, machine.Request{Action: machine.Stop})
	case machine.Absent, machine.Stopped:
		r.machines.Forget(vm)
		r.backoffs.Delete(vm)
	}
}

// differInProgress reports whether two statuses differ only in the bytes or the message of the same step.
func differInProgress(a, b v1alpha1.LimaVMStatus) bool {
	if a.Progress == nil || b.Progress == nil {
		return false
	}
	step := *a.Progress
	step.Bytes, step.Total, step.Message = b.Progress.Bytes, b.Progress.Total, b.Progress.Message
	a.Progress = &step
	return apiequality.Semantic.DeepEqual(a, b)
}
