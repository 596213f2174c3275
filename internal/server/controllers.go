package server

import (
	"context"
	"fmt"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"rancherdesktop.io/rdd/internal/admission"
	"rancherdesktop.io/rdd/internal/controller"
	"rancherdesktop.io/rdd/internal/controller/limavm"
	"rancherdesktop.io/rdd/internal/datastore"
	"rancherdesktop.io/rdd/internal/machine"
)

// controllers lists every controller, in the order of api.Controllers. A new one is added here and there.
func (r *Run) controllers(store *datastore.Store, machines *machine.Manager, events *limavm.EventSource) []controller.Controller {
	ownsEmptyHost := !store.External()
	return []controller.Controller{
		limavm.New(machines, limavm.Options{
			Host: r.Host, OwnsEmptyHost: ownsEmptyHost, Events: events,
			CheckName: r.Instance.CheckVM, CheckFolder: r.checkFolder(ownsEmptyHost),
		}),
	}
}

func admissionOf(controllers []controller.Controller) (all []admission.Admission) {
	for _, c := range controllers {
		all = append(all, c.Admission...)
	}
	return all
}

// setUp adds the enabled controllers to the manager.
func (r *Run) setUp(mgr ctrl.Manager, controllers []controller.Controller) (synced []func(context.Context) error, err error) {
	for _, c := range controllers {
		if !r.Config.Runs(c.Name) {
			continue
		}
		wait, err := c.Setup(mgr)
		if err != nil {
			return nil, fmt.Errorf("set up the controller %s: %w", c.Name, err)
		}
		synced = append(synced, wait)
	}
	return synced, nil
}

// syncTimeout bounds the first look at the objects, which takes milliseconds: a few files and locks for each VM.
const syncTimeout = 10 * time.Second

// waitSynced waits until the objects' statuses are this run's: a client that finds the service ready must not
// be told that a VM runs whose hostagent has died while no service ran.
func (r *Run) waitSynced(ctx context.Context, synced []func(context.Context) error) {
	r.starting("looking at virtual machines")
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	for _, wait := range synced {
		if err := wait(ctx); err != nil {
			r.Log.Warn("a status may be the last run's for a while", "err", err)
		}
	}
}
