package server

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"rancherdesktop.io/rdd/internal/admission"
	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/controller"
	"rancherdesktop.io/rdd/internal/controller/limavm"
	"rancherdesktop.io/rdd/internal/datastore"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/machine"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// NewMachines returns the manager of the instance's VMs. It calls changed when the state of a VM has changed.
func NewMachines(inst instance.Instance, log *slog.Logger, changed func(vm string)) (*machine.Manager, error) {
	program, err := inst.Program("rdd-lima")
	if err != nil {
		return nil, err
	}
	return machine.New(machine.Config{
		LimaHome: inst.LimaHome(), Program: program, ShareDir: inst.ShareDir(),
		LogDir: inst.VMLogDir(), KeepLogs: inst.KeepLogs(), Log: log, Changed: changed,
	}), nil
}

// controllers lists every controller, in the order of api.Controllers. A new one is added here and there.
func (r *Run) controllers(store *datastore.Store, machines *machine.Manager, events *controller.EventSource, d *desktop) []controller.Controller {
	ownsEmptyHost := !store.External()
	return []controller.Controller{
		limavm.New(machines, limavm.Options{
			Host: r.Host, OwnsEmptyHost: ownsEmptyHost, Events: events,
			CheckName: r.Instance.CheckVM, CheckFolder: r.checkFolder(ownsEmptyHost),
			DataDiskSize: func(vm string) (int64, bool) {
				return layout.VM{Home: r.Instance.LimaHome(), Name: vm}.DataDiskSize()
			},
		}),
		r.appController(machines, d, ownsEmptyHost),
	}
}

// admissionOf returns the rules of all controllers. A controller owns objects of those before it, and its rules are asked first:
// they know the right advice for such an object.
func admissionOf(controllers []controller.Controller) (all []admission.Admission) {
	for _, c := range slices.Backward(controllers) {
		all = append(all, c.Admission...)
	}
	return all
}

// checkFolder returns a function that says why the folder of a new VM can't be created here: it exists already, and a new disk
// must not replace what is in it. ownsEmptyHost says whether VMs without a host belong to this host.
func (r *Run) checkFolder(ownsEmptyHost bool) func(vm *v1alpha1.LimaVM) error {
	return func(vm *v1alpha1.LimaVM) error {
		if mine := vm.Spec.Host == r.Host || vm.Spec.Host == "" && ownsEmptyHost; !mine {
			return nil
		}
		at := layout.VM{Home: r.Instance.LimaHome(), Name: vm.Name}
		names, err := at.Contents()
		switch {
		case err != nil:
			return err
		case len(names) == 0 && at.HasData():
			return fmt.Errorf("there is the data disk %[1]s of a VM with this name that is gone. Move it away to keep it, or delete it with: rdd vm delete %[2]s --orphan", at.DataDisk(), vm.Name)
		case len(names) == 0 || at.Unfinished():
			return nil
		case at.Made():
			return fmt.Errorf("there is already a VM with this name in %[1]s, without an object. Adopt it with: rdd vm adopt %[2]s; or delete it and its disk with: rdd vm delete %[2]s --orphan", at.Dir(), vm.Name)
		}
		return fmt.Errorf("the folder %s is there already and is no VM's (it holds %s): move it away, or choose another name", at.Dir(), strings.Join(names[:min(len(names), 5)], ", "))
	}
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

// syncTimeout bounds the first reconciliation of all objects, which takes milliseconds: a few files and locks for each VM.
const syncTimeout = 10 * time.Second

// waitSynced waits until this run has written the status of all objects: a client of a ready service must not see that a VM
// runs whose hostagent has died while no service ran.
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
