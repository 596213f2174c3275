// Package server runs the parts of the service: the engine's socket, datastore, control plane, the engine's mirror, machines and
// controllers. It starts them in this order and stops them in the opposite one. rddd calls it.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"rancherdesktop.io/rdd/internal/api/crds"
	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/controller"
	"rancherdesktop.io/rdd/internal/controlplane"
	"rancherdesktop.io/rdd/internal/datastore"
	"rancherdesktop.io/rdd/internal/datastore/storefile"
	"rancherdesktop.io/rdd/internal/gctuning"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/lifecycle"
	"rancherdesktop.io/rdd/internal/machine"
	"rancherdesktop.io/rdd/internal/tools"
)

// Run is one run of the service.
type Run struct {
	Instance instance.Instance
	Config   lifecycle.Config
	Nonce    string
	Version  string
	Host     string // this host's name, when several share a store
	Log      *slog.Logger
	Publish  func(lifecycle.Record)
}

// stopTimeout bounds the wait for guests to power off. After that the service ends, the error names the VMs that still run, and
// their hostagents go on.
const stopTimeout = 4 * time.Minute

// Serve runs the service until ctx ends, then stops it in order. It returns an error when a part can't start or has failed.
func (r *Run) Serve(ctx context.Context) (err error) {
	events, desk := &controller.EventSource{}, r.newDesktop()
	machines, err := NewMachines(r.Instance, r.Log, events.Enqueue)
	if err != nil {
		return err
	}
	stopMachines := r.machineStop(ctx, machines)
	defer func() {
		_, unrecorded := errors.AsType[*lifecycle.RecordError](context.Cause(ctx))
		if ctx.Err() != nil && !unrecorded { // asked to stop, perhaps before control, and a crash may have left VMs running
			err = stopMachines(err)
		}
	}()
	if ctx.Err() != nil {
		return nil
	}
	if err := tools.Link(r.Instance.ToolsDir(), r.Instance.Tools()); err != nil { // nothing else needs them
		r.Log.Warn("not all tools that come with RDD can be found in PATH", "err", err)
	}
	settle, endSocket := r.serveSocket(ctx, desk)
	defer endSocket()
	r.starting("opening the datastore")
	store, err := datastore.Open(ctx, datastore.Options{Dir: r.Instance.StoreDir(), Endpoint: r.Config.DatastoreEndpoint})
	if err != nil {
		return r.withRestoreHint(ctx, err)
	}
	defer func() {
		r.stopping("closing the datastore")
		err = errors.Join(err, store.Close())
		if !store.External() {
			r.backUp(ctx)
		}
	}()

	if err := storefile.NoteExternal(r.Instance.StoreDir(), store.External()); err != nil {
		return err
	}
	controllers := r.controllers(store, machines, events, desk)
	definitions, err := crds.All()
	if err != nil {
		return err
	}
	server, err := controlplane.New(ctx, controlplane.Config{
		Dir:        r.Instance.ControlPlaneDir(),
		Port:       r.Config.Port,
		Store:      store,
		CRDs:       definitions,
		Live:       desk.engine.Resources(desk.objects),
		Admission:  admissionOf(controllers),
		Namespaces: []string{v1alpha1.SystemNamespace},
		Handlers:   r.handlers(),
		Step:       r.starting,
	})
	if err != nil {
		return err
	}
	serving := background(ctx, server.Run)
	// The API server outlives the controllers, which write their last statuses to it.
	defer func() {
		r.stopping("stopping the API server")
		err = errors.Join(err, serving.stop())
	}()
	select {
	case <-server.Ready():
	case <-serving.done:
		return nil // serving.stop returns why
	case <-ctx.Done():
		return nil
	}
	defer r.followEngine(ctx, desk)() // it ends before what it is shown by
	return r.control(ctx, server, serving, stopMachines, settle, controllers)
}

// machineStop returns a function that stops all VMs of this host. Only its first call does. The function gets and returns the
// error of the run; that VMs still run replaces that the run was asked to stop.
func (r *Run) machineStop(ctx context.Context, machines *machine.Manager) func(error) error {
	var once sync.Once
	return func(err error) error {
		once.Do(func() {
			r.stopping("stopping virtual machines")
			limited, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), stopTimeout, fmt.Errorf("%w after %s", context.DeadlineExceeded, stopTimeout))
			defer cancel()
			go func() {
				if lifecycle.AwaitForce(limited, r.Instance, r.Nonce) == nil {
					machines.Force()
				}
			}()
			late := machines.Close(limited, r.stopping)
			if late != nil && errors.Is(err, context.Canceled) {
				err = nil
			}
			err = errors.Join(err, late)
		})
		return err
	}
}

// control runs the controllers on a ready API server until ctx or the server ends, then stops the
// machines and the controllers. It calls settle when they have looked at everything once.
func (r *Run) control(ctx context.Context, server *controlplane.Server, serving *task, stopMachines func(error) error, settle func(), controllers []controller.Controller) (err error) {
	r.starting("starting the controllers")
	mgr, err := newManager(server.Loopback(), controllers)
	if err != nil {
		return fmt.Errorf("make the controllers: %w", err)
	}
	for _, c := range controllers {
		c.Connect(mgr.GetAPIReader())
	}
	if err := withdraw(ctx, mgr.GetClient()); err != nil {
		return fmt.Errorf("remove the discovery ConfigMap of the last run: %w", err)
	}
	synced, err := r.setUp(mgr, controllers)
	if err != nil {
		return err
	}
	managing := background(ctx, mgr.Start)
	defer func() {
		r.stopping("stopping the controllers")
		err = errors.Join(err, managing.stop())
	}()
	defer func() {
		// It refuses new work from here on, so that no controller starts a VM again.
		err = stopMachines(err)
	}()
	if !mgr.GetCache().WaitForCacheSync(ctx) {
		return nil
	}
	r.waitSynced(ctx, synced)
	settle()
	if err := r.announce(ctx, mgr.GetClient(), server.Endpoint()); err != nil {
		return err
	}
	watching := background(ctx, func(ctx context.Context) error {
		r.keepKubeconfig(ctx, server.Endpoint())
		return nil
	})
	defer func() { _ = watching.stop() }()
	r.Publish(lifecycle.Record{Phase: lifecycle.Ready, Server: server.Endpoint().URL})
	r.Log.Info("ready", "server", server.Endpoint().URL)
	go gctuning.Trim(ctx, busyAllocBytes)
	select {
	case <-ctx.Done():
		return nil
	case <-serving.done:
		return nil // serving.stop returns why
	case <-managing.done:
		return nil // managing.stop returns why
	}
}

// starting publishes what the start is doing.
func (r *Run) starting(what string) {
	r.Log.Info("starting", "step", what)
	r.Publish(lifecycle.Record{Phase: lifecycle.Starting, Step: what})
}

// stopping publishes what the stop is doing.
func (r *Run) stopping(what string) {
	r.Log.Info("stopping", "step", what)
	r.Publish(lifecycle.Record{Phase: lifecycle.Stopping, Step: what})
}

// task is a function that runs in the background.
type task struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// background calls fn with a context that ends only when stop is called.
func background(ctx context.Context, fn func(context.Context) error) *task {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t := &task{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		t.err = fn(ctx)
	}()
	return t
}

// stop ends the task and returns what it returned.
func (t *task) stop() error {
	t.cancel()
	<-t.done
	return t.err
}
