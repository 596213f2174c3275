package core

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// An orphan is a VM's folder, or its processes, that no VM object stands for, as after a backup was
// restored that is older than the VM. No command for VMs reaches it but these.

// orphaned says whether there is anything of a VM, which the caller knows to have no object.
func orphaned(vm layout.VM) bool { return lives(vm) || vm.Made() }

// orphans lists what no object stands for. It is empty while the service doesn't say which objects there are.
func (i *inspection) orphans() []layout.VM {
	if i.statusErr != nil || i.status.State != ServiceRunning || i.vmsErr != nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(i.files), func(vm layout.VM) bool {
		known := slices.ContainsFunc(i.objects, func(o VM) bool { return o.Name == vm.Name })
		return known || !orphaned(vm)
	})
}

func orphanFinding(vm layout.VM) Finding {
	what := "doesn't run"
	if lives(vm) {
		what = "runs"
	}
	return found(SeverityWarning, diag.OrphanVM, "there is a VM %q in %s, which %s, and the service has no object for it", vm.Name, vm.Dir(), what)
}

// Orphans names the VMs that are on this computer and that no object stands for.
func (v *VMs) Orphans(ctx context.Context) []string {
	var names []string
	for _, vm := range v.session.core.inspect(ctx).orphans() {
		names = append(names, vm.Name)
	}
	return names
}

// Adopt makes the object of an orphan: its template is the configuration that its disk was made by. The
// disk stays as it is, and a VM that runs goes on. With start it is booted, too. A VM that can't be taken
// in stays an orphan, or is there with the reason; it is never removed.
func (v *VMs) Adopt(ctx context.Context, name string, start bool, w Wait) error {
	const op = "adopt VM"
	c := v.session.core
	if err := c.CheckVMName(name); err != nil {
		return err
	}
	vm := c.layout(name)
	job, err := preparedBy(vm)
	if errors.Is(err, os.ErrNotExist) {
		return &Error{Kind: NotFound, Op: op, Object: name, Err: fmt.Errorf("there is no VM to take in: no %s", vm.LimaYAML())}
	}
	if err != nil {
		return failed(op, name, err)
	}
	return v.Create(ctx, name, CreateOptions{Text: job.Template, Params: job.Params, Start: start || lives(vm), adopt: true}, w)
}

// DeleteOrphan ends an orphan at once and removes its disk. A VM that has an object is not touched.
func (v *VMs) DeleteOrphan(ctx context.Context, name string, w Wait) error {
	const op = "delete orphaned VM"
	c := v.session.core
	refuse := func(kind Kind, format string, a ...any) error {
		return &Error{Kind: kind, Op: op, Object: name, Err: fmt.Errorf(format, a...)}
	}
	_, err := v.Show(ctx, name)
	if err == nil {
		return refuse(Usage, "it has an object, so it is no orphan; delete it with: rdd limavm delete %s", name)
	}
	if KindOf(err) != NotFound {
		return err
	}
	vm := c.layout(name)
	listed := slices.ContainsFunc(c.filesOfVMs(), func(f layout.VM) bool { return f.Name == name })
	if !listed || !orphaned(vm) && !there(vm.Dir()) {
		return refuse(NotFound, "there is nothing of a VM of that name in %s", c.inst.LimaHome())
	}
	if !orphaned(vm) && !vm.Unfinished() {
		names, err := vm.Contents()
		if err != nil {
			return failed(op, name, err)
		}
		return refuse(Usage, "the folder %s holds nothing of a VM (%s), so it is not removed: move it away", vm.Dir(), strings.Join(names, ", "))
	}
	w.Accepted = false // the folder goes only after the processes have
	return w.run(ctx, op, name, func(ctx context.Context, o *operation) error {
		o.report(Event{Phase: "deleting", Message: "ending what runs of it and removing " + vm.Dir()})
		_, err := c.Service().rddd(ctx, "remove", "--", name)
		return err
	})
}
