package app

import (
	"context"
	"fmt"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	lima "rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/controller"
	"rancherdesktop.io/rdd/internal/engine"
)

const (
	// detailsInterval is the shortest time between two status writes in which only details differ: bytes, containers, ports.
	detailsInterval = 500 * time.Millisecond
	// dockerTimeout bounds the work on docker's files: a socket that is probed may hang.
	dockerTimeout = 10 * time.Second
)

// Reconcile implements reconcile.Reconciler.
func (r *reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	app := &v1alpha1.App{}
	if err := r.client.Get(ctx, req.NamespacedName, app); err != nil {
		if apierrors.IsNotFound(err) {
			return ctrl.Result{}, r.gone(ctx)
		}
		return ctrl.Result{}, err
	}
	if !r.options.claims(app) {
		r.link(engineOf(app), engine.Stopped, fmt.Sprintf("RDD's container engine runs on the host %s, which shares the datastore with this one", app.Annotations[HostAnnotation]))
		return ctrl.Result{}, nil
	}
	held, err := r.claim(ctx, app)
	if err != nil || !held {
		return ctrl.Result{}, ignoreStale(err)
	}
	o, err := r.observe(ctx, app)
	if err != nil {
		return ctrl.Result{}, err
	}
	d := decide(o)
	r.link(engineOf(app), d.phase, d.reason)
	again, err := r.act(ctx, &o, d)
	if err != nil {
		return ctrl.Result{}, ignoreStale(err)
	}
	if d.removeFinalizer && !again {
		return ctrl.Result{}, nil
	}
	if again {
		d = decide(o)
		r.link(engineOf(app), d.phase, d.reason)
	}
	after, err := r.commit(ctx, o, d)
	return ctrl.Result{RequeueAfter: after}, ignoreStale(err)
}

// gone forgets an App that doesn't exist. One that was deleted at the moment it got its finalizer has gone without it, and with
// it the garbage collector removes the VM, but not docker's context.
func (r *reconciler) gone(ctx context.Context) error {
	r.link("", engine.Stopped, notSetUp(r.options.Command))
	r.mu.Lock()
	known := r.memory.uid != ""
	r.mu.Unlock()
	if known && r.options.Docker.Exists() {
		ctx, cancel := context.WithTimeout(ctx, dockerTimeout)
		defer cancel()
		if err := r.options.Docker.Remove(ctx); err != nil {
			return fmt.Errorf("remove the docker context %s: %w", r.options.Context, err)
		}
	}
	r.remember(memory{})
	return nil
}

// ignoreStale drops errors that say that an object was changed or removed meanwhile: the watch reports that, too.
func ignoreStale(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// claim adds the finalizer before anything is done for app, and the name of this host if several share the store. It returns
// false for an App that is being deleted and doesn't have the finalizer: then there is nothing to do.
func (r *reconciler) claim(ctx context.Context, app *v1alpha1.App) (bool, error) {
	shared := !r.options.OwnsEmptyHost && app.Annotations[HostAnnotation] == ""
	if controllerutil.ContainsFinalizer(app, v1alpha1.Finalizer) && !shared {
		return true, nil
	}
	if !app.DeletionTimestamp.IsZero() {
		return controllerutil.ContainsFinalizer(app, v1alpha1.Finalizer), nil
	}
	was := app.DeepCopy()
	controllerutil.AddFinalizer(app, v1alpha1.Finalizer)
	if shared {
		if app.Annotations == nil {
			app.Annotations = map[string]string{}
		}
		app.Annotations[HostAnnotation] = r.options.Host
	}
	if err := r.client.Patch(ctx, app, controller.OptimisticPatch(was)); err != nil {
		return false, err
	}
	return true, nil
}

// act carries out the decision. It returns true when o was changed by that, and the status should say so.
func (r *reconciler) act(ctx context.Context, o *observation, d decision) (changed bool, err error) {
	r.options.Allow(o.app.Spec.Ports.BindAddresses)
	if d.createVM != nil {
		err := r.client.Create(ctx, d.createVM)
		if o.refused = refusalOf(err); o.refused != nil {
			return true, nil
		}
		return false, err
	}
	if d.template != "" {
		if err := r.storeTemplate(ctx, o.vm, d.template); err != nil {
			return false, err
		}
	}
	if d.vmSpec != nil {
		was := o.vm.DeepCopy()
		o.vm.Spec = *d.vmSpec
		err := r.client.Patch(ctx, o.vm, controller.OptimisticPatch(was))
		if refused := refusalOf(err); refused != nil {
			o.vm = was
			return false, fmt.Errorf("change the App's virtual machine: %w", err)
		}
		if err != nil {
			return false, err
		}
		o.vm = was // the decision's status is about the VM as it was
	}
	if d.deleteVM {
		if err := r.client.Delete(ctx, o.vm, client.Preconditions{UID: &o.vm.UID}); err != nil {
			return false, err
		}
	}
	if d.ensureContext {
		r.ensureContext(ctx, o, d)
		return true, nil
	}
	if d.removeContext && !r.removeContext(ctx, o) {
		return true, nil
	}
	return false, r.release(ctx, o.app, d)
}

// storeTemplate writes the VM's own template.
func (r *reconciler) storeTemplate(ctx context.Context, vm *lima.LimaVM, text string) error {
	cm, err := templateConfigMap(ctx, r.client, vm)
	if cm == nil || err != nil {
		return err
	}
	was := cm.DeepCopy()
	cm.Data = map[string]string{lima.TemplateKey: text}
	return r.client.Patch(ctx, cm, controller.OptimisticPatch(was))
}

// ensureContext makes docker's context. It doesn't try again until the next start: a user's file that can't be changed now
// can't be changed in a second either, and status.problems says so.
func (r *reconciler) ensureContext(ctx context.Context, o *observation, d decision) {
	ctx, cancel := context.WithTimeout(ctx, dockerTimeout)
	defer cancel()
	_, problem, err := r.options.Docker.Ensure(ctx, o.app.Spec.ContainerEngine.DockerContext)
	if err != nil {
		problem = fmt.Sprintf("the docker context %s could not be set: %v", r.options.Context, err)
	}
	o.memory = d.memory
	o.memory.problem = problem
	o.problems = nil
	r.observeDocker(o)
}

// removeContext removes docker's context. When that fails, the App stays and says why, and this is tried again.
func (r *reconciler) removeContext(ctx context.Context, o *observation) bool {
	ctx, cancel := context.WithTimeout(ctx, dockerTimeout)
	defer cancel()
	o.memory.problem = ""
	if err := r.options.Docker.Remove(ctx); err != nil {
		o.memory.problem = fmt.Sprintf("the docker context %s can't be removed: %v. RDD goes on trying", r.options.Context, err)
	}
	return o.memory.problem == ""
}

// release removes the finalizer.
func (r *reconciler) release(ctx context.Context, app *v1alpha1.App, d decision) error {
	if !d.removeFinalizer {
		return nil
	}
	was := app.DeepCopy()
	controllerutil.RemoveFinalizer(app, v1alpha1.Finalizer)
	if err := r.client.Patch(ctx, app, controller.OptimisticPatch(was)); err != nil {
		return err
	}
	r.remember(memory{})
	return nil
}

// commit writes the status if it has changed, and then stores the memory. It returns when to reconcile again; 0 means when
// something changes.
func (r *reconciler) commit(ctx context.Context, o observation, d decision) (after time.Duration, err error) {
	after = d.requeueAfter
	wait := d.memory.lastWrite.Add(detailsInterval).Sub(o.now)
	switch {
	case apiequality.Semantic.DeepEqual(o.app.Status, d.status):
	case wait > 0 && differInDetails(o.app.Status, d.status):
		if after == 0 || wait < after {
			after = wait
		}
	default:
		was := o.app.DeepCopy()
		o.app.Status = d.status
		if err := r.client.Status().Patch(ctx, o.app, controller.OptimisticPatch(was)); err != nil {
			return 0, fmt.Errorf("write the status of the App: %w", err)
		}
		d.memory.lastWrite = o.now
	}
	d.memory.written, d.memory.vmVersion = true, ""
	if o.vm != nil {
		d.memory.vmVersion = o.vm.ResourceVersion
	}
	r.remember(d.memory)
	return after, nil
}

func (r *reconciler) remember(m memory) {
	r.mu.Lock()
	r.memory = m
	r.mu.Unlock()
	r.signal()
}

// differInDetails reports whether two statuses differ only in what changes often.
func differInDetails(a, b v1alpha1.AppStatus) bool {
	if (a.Progress == nil) != (b.Progress == nil) || (a.Engine == nil) != (b.Engine == nil) {
		return false
	}
	if a.Progress != nil {
		step := *a.Progress
		step.Bytes, step.Total, step.Message = b.Progress.Bytes, b.Progress.Total, b.Progress.Message
		a.Progress = &step
	}
	if a.Engine != nil {
		e := *a.Engine
		e.Containers = b.Engine.Containers
		a.Engine = &e
	}
	a.Ports, a.Disk = b.Ports, b.Disk
	return apiequality.Semantic.DeepEqual(a, b)
}
