package core

import (
	"context"
	"errors"

	"rancherdesktop.io/rdd/core/template"
	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// VMDetails is a VM with the details that the CLI shows beside its spec and status.
type VMDetails struct {
	VM
	Resources     *template.Resources `json:"resources,omitempty"`     // of the running guest, or else of the next start; nil: unknown
	RestartNeeded []string            `json:"restartNeeded,omitempty"` // describes the settings that take effect at the next start
}

// Details adds the details to VMs. It reads local files. Only if the template of a VM has changed since its last start, it
// makes one request to the control plane, for all VMs together.
func (v *VMs) Details(ctx context.Context, vms []VM) []VMDetails {
	reader := newDetailsReader(v.session)
	all := make([]VMDetails, len(vms))
	for i := range vms {
		all[i], _ = reader.read(ctx, &vms[i]) // with an error, without the pending changes
	}
	return all
}

// detailsReader reads the details of VMs and caches the data that they share.
type detailsReader struct {
	session   *Session
	stored    map[string]string              // templates of VMs by the name of their ConfigMap; nil: not read yet
	resources map[string]*template.Resources // by template
}

func newDetailsReader(s *Session) *detailsReader {
	return &detailsReader{session: s, resources: map[string]*template.Resources{}}
}

// errTemplateChanging means that a VM's status doesn't have the digest of its template yet.
var errTemplateChanging = errors.New("the template has just changed")

// read returns the details of a VM. With an error, the pending changes are unknown.
func (r *detailsReader) read(ctx context.Context, vm *VM) (d VMDetails, err error) {
	d.VM = *vm
	files := layout.Of(r.session.core.inst, vm.Name)
	job, jobErr := readJob(files) // fails if the VM is not prepared yet, or is on another host
	next, err := r.next(ctx, vm, job.Template)
	if jobErr != nil || !files.HostagentAlive() {
		d.Resources = r.resourcesOf(next)
		return d, err
	}
	d.Resources = r.resourcesOf(job.Template)
	switch {
	case err != nil || vm.DeletionTimestamp != nil:
	case v1alpha1.TemplateDigest(next) != vm.Status.TemplateDigest:
		err = errTemplateChanging
	default:
		d.RestartNeeded, err = template.Changes(job, event.Job{Template: next, Params: vm.Spec.Params})
	}
	return d, err
}

// next returns the template of the VM's next start. last is that of its last start.
func (r *detailsReader) next(ctx context.Context, vm *VM, last string) (text string, err error) {
	switch vm.Status.TemplateDigest {
	case "": // the controller has not stored it yet
		return vm.Spec.Template, nil
	case v1alpha1.TemplateDigest(last):
		return last, nil
	}
	if r.stored == nil {
		r.stored, err = r.session.templatesIn(ctx, v1alpha1.SystemNamespace)
	}
	return r.stored[v1alpha1.TemplateConfigMapName(vm.Name)], err
}

func (r *detailsReader) resourcesOf(text string) *template.Resources {
	if text == "" {
		return nil
	}
	known, ok := r.resources[text]
	if !ok {
		if found, err := template.ResourcesOf(text); err == nil {
			known = &found
		}
		r.resources[text] = known
	}
	return known
}
