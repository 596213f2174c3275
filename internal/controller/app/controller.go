// Package app is the controller of the App: it makes the App's virtual machine, a LimaVM, and keeps it as the App says. A
// reconcile
//
//  1. puts the finalizer on, and with several hosts on one store claims the App for this one (reconcile.go),
//  2. observes the App, its LimaVM and that VM's template, the engine, and docker's files (observe.go),
//  3. decides what is next, in a pure function (decide.go), with the size of the virtual machine (size.go),
//  4. tells the engine's Link, and changes the LimaVM, its template and docker's files (reconcile.go),
//  5. writes one status (conditions.go).
//
// It also admits writes to the App, and to what the App owns (admission.go).
package app

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	runtimecontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	lima "rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/controller"
	"rancherdesktop.io/rdd/internal/engine"
)

// Engine is the container engine in the App's VM. *choice.Choice is one.
type Engine interface {
	State() engine.State
}

// DockerFiles are docker's files of this user. *dockerconfig.Files is one.
type DockerFiles interface {
	// Ensure makes the App's context, and makes it docker's current one as mode says. problem says, for people, why that could
	// not be done.
	Ensure(ctx context.Context, mode v1alpha1.DockerContextMode) (current bool, problem string, err error)
	// Remove removes the context, after another one is the current one.
	Remove(ctx context.Context) error
	// Exists reports whether the context exists.
	Exists() bool
}

// Options say where the App's parts are on this host.
type Options struct {
	Host          string                  // the name of this host, when several share a store
	OwnsEmptyHost bool                    // this host has the store for itself
	Events        *controller.EventSource // reports that the engine's state has changed

	Engine        Engine
	Link          *engine.Link                 // says how the engine can be reached
	Dial          engine.Dial                  // to the App's VM while it runs
	Allow         func(bindAddresses []string) // is told on which addresses of this host ports may be published
	Docker        DockerFiles
	Context       string                           // name of the docker context
	Sockets       map[v1alpha1.EngineName]string   // paths of the engines' sockets on this host
	SocketProblem func(v1alpha1.EngineName) string // says why an engine's socket can't be served; empty when it is

	Guest    func() (template string, err error)                           // the template of RDD's guest
	Validate func(ctx context.Context, vm string, template []byte) error   // asks Lima; see limavm.MachineManager
	Launched func(vm string) (template string, dataDisk int64, known bool) // with what the guest was started that runs now
	Computer Computer
	Command  func(command string) string // a command of rdd, for this instance
}

// New returns the controller of the App.
func New(o Options) controller.Controller {
	v := newValidator(o)
	return controller.Controller{
		Name:        v1alpha1.Controller,
		AddToScheme: v1alpha1.AddToScheme,
		Cached:      cached(),
		Admission:   v.admission(),
		Connect:     v.live.Connect,
		Setup:       func(mgr ctrl.Manager) (func(context.Context) error, error) { return setup(mgr, o) },
	}
}

// cached lists the objects that the manager's cache holds for this controller.
func cached() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{
		&v1alpha1.App{}:     {},
		&lima.LimaVM{}:      {},
		&corev1.ConfigMap{}: {Namespaces: map[string]cache.Config{lima.SystemNamespace: {}}},
	}
}

// setup adds the controller to mgr, whose scheme must know core/v1, LimaVM and App. See controller.Controller.
func setup(mgr ctrl.Manager, o Options) (synced func(context.Context) error, err error) {
	r := &reconciler{client: mgr.GetClient(), live: mgr.GetAPIReader(), options: o, changed: make(chan struct{}, 1)}
	// The App's parts are found by their names: a VM that is not the App's may have the name, and then goes.
	part := func(namespace, name string) handler.EventHandler {
		return handler.EnqueueRequestsFromMapFunc(func(_ context.Context, changed client.Object) []reconcile.Request {
			if changed.GetNamespace() != namespace || changed.GetName() != name {
				return nil
			}
			return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: v1alpha1.Name}}}
		})
	}
	unique := true // names are unique per process, and tests start several managers in one
	return r.waitSynced, ctrl.NewControllerManagedBy(mgr).
		Named(v1alpha1.Controller).
		For(&v1alpha1.App{}).
		Watches(&lima.LimaVM{}, part("", v1alpha1.VM)).
		Watches(&corev1.ConfigMap{}, part(lima.SystemNamespace, lima.TemplateConfigMapName(v1alpha1.VM))).
		WatchesRawSource(o.Events.Source()).
		WithOptions(runtimecontroller.Options{
			SkipNameValidation: &unique,
			RateLimiter:        workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](10*time.Millisecond, 30*time.Second),
		}).
		Complete(r)
}

// reconciler brings the App closer to its spec.
type reconciler struct {
	client    client.Client
	live      client.Reader // reads from the API server: the cache may not show this controller's last write yet
	options   Options
	templates edited
	changed   chan struct{} // holds a token when memory may have changed

	mu     sync.Mutex
	memory memory
}

// waitSynced blocks until the App's status is written and shows the VM as it is now.
func (r *reconciler) waitSynced(ctx context.Context) error {
	for {
		done, err := r.synced(ctx)
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("look at the App: %w", context.Cause(ctx))
		case <-r.changed:
		}
	}
}

func (r *reconciler) synced(ctx context.Context) (bool, error) {
	app := &v1alpha1.App{}
	if err := r.client.Get(ctx, types.NamespacedName{Name: v1alpha1.Name}, app); err != nil {
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	}
	if !r.options.claims(app) {
		return true, nil
	}
	vm := &lima.LimaVM{}
	if err := r.live.Get(ctx, types.NamespacedName{Name: v1alpha1.VM}, vm); client.IgnoreNotFound(err) != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.memory.uid == app.UID && r.memory.written && r.memory.vmVersion == vm.ResourceVersion, nil
}

// signal wakes waitSynced, if it waits.
func (r *reconciler) signal() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// link tells everything that needs the engine how it can be reached.
func (r *reconciler) link(name v1alpha1.EngineName, phase engine.Phase, reason string) {
	t := engine.Target{Phase: phase, Reason: reason, Engine: string(name)}
	if phase == engine.Running {
		t.Dial = r.options.Dial
	}
	r.options.Link.Set(t)
}

// HostAnnotation names the host that runs the App, when several hosts share one store. The first host whose service sees the
// App sets it, unless the user has set it before.
const HostAnnotation = "app.rancherdesktop.io/host"

// claims reports whether this host runs app, or may.
func (o Options) claims(app *v1alpha1.App) bool {
	on := app.Annotations[HostAnnotation]
	return o.OwnsEmptyHost || on == "" || on == o.Host
}
