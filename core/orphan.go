package core

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"rancherdesktop.io/rdd/internal/machine/layout"
)

// Orphans returns the VMs with files or processes, but without an object among the known ones. A VM becomes an orphan when a
// backup is restored that is older than the VM.
func Orphans(files []layout.VM, known []VM) []layout.VM {
	return slices.DeleteFunc(slices.Clone(files), func(vm layout.VM) bool {
		return !vm.Orphaned() || slices.ContainsFunc(known, func(o VM) bool { return o.Name == vm.Name })
	})
}

// Orphans names the orphans of this instance. It returns none if the service's VMs can't be listed.
func (v *VMs) Orphans(ctx context.Context) []string {
	known, err := v.List(ctx)
	if err != nil {
		return nil
	}
	var names []string
	for _, vm := range Orphans(layout.Found(v.session.core.inst), known) {
		names = append(names, vm.Name)
	}
	return names
}

// Adopt creates the object of an orphan from the template that its disk was created with. The disk stays the same, and a
// running VM continues. With start, a stopped VM is started. If the adoption fails, the VM stays an orphan, or its object has
// the reason. Its disk is never deleted.
func (v *VMs) Adopt(ctx context.Context, name string, start bool, w Wait) error {
	const op = "adopt VM"
	c := v.session.core
	if err := c.CheckVMName(name); err != nil {
		return err
	}
	vm := layout.Of(c.inst, name)
	job, err := preparedBy(vm)
	if errors.Is(err, os.ErrNotExist) {
		return &Error{Kind: NotFound, Op: op, Object: name, Err: fmt.Errorf("there is no VM to adopt: %s is missing", vm.LimaYAML())}
	}
	if err != nil {
		return Failed(op, name, err)
	}
	return v.Create(ctx, name, CreateOptions{Text: job.Template, Params: job.Params, Start: start || vm.Alive(), adopt: true}, w)
}

// DeleteOrphan kills an orphan and deletes its disk. It refuses a VM that has an object.
func (v *VMs) DeleteOrphan(ctx context.Context, name string, w Wait) error {
	const op = "delete orphaned VM"
	c := v.session.core
	refuse := func(kind Kind, format string, a ...any) error {
		return &Error{Kind: kind, Op: op, Object: name, Err: fmt.Errorf(format, a...)}
	}
	_, err := v.Show(ctx, name)
	if err == nil {
		return refuse(Usage, "the service knows this VM; delete it with: rdd vm delete %s", name)
	}
	if KindOf(err) != NotFound {
		return err
	}
	vm := layout.Of(c.inst, name)
	listed := slices.ContainsFunc(layout.Found(c.inst), func(f layout.VM) bool { return f.Name == name })
	logs := layout.Exists(vm.Logs) && !c.inst.KeepLogs() // of a deletion that was killed before its last step
	if !listed || !vm.Orphaned() && !vm.Exists() && !logs {
		return refuse(NotFound, "there are no files of a VM with this name in %s", c.inst.LimaHome())
	}
	names, err := vm.Contents()
	if err != nil {
		return Failed(op, name, err)
	}
	if len(names) > 0 && !vm.Orphaned() && !vm.Unfinished() {
		return refuse(Usage, "the folder %s has no files of a VM, only: %s; it is not deleted, so move it elsewhere", vm.Dir(), strings.Join(names, ", "))
	}
	w.Accepted = false // the folder can be deleted only after the processes have ended
	return w.run(ctx, op, name, func(ctx context.Context, o *operation) error {
		o.report(Event{Phase: phaseDeleting, Message: "ending its processes and deleting " + vm.Dir()})
		_, err := c.Service().rddd(ctx, "remove", "--", name)
		return err
	})
}
