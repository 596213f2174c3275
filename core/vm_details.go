package core

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"rancherdesktop.io/rdd/core/template"
	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// VMDetails is a VM with what the CLI shows beside its spec and status.
type VMDetails struct {
	VM
	Resources     *template.Resources `json:"resources,omitempty"`     // of the running guest, or else of the next start; nil: not known yet
	RestartNeeded []string            `json:"restartNeeded,omitempty"` // in words, the settings that wait for a restart
}

// Details adds the details to VMs. It reads local files, and asks the control plane once for all VMs together
// when a template has changed since its VM was last started.
func (v *VMs) Details(ctx context.Context, vms []VM) []VMDetails {
	reader := &detailsReader{vms: v, resources: map[string]*template.Resources{}}
	all := make([]VMDetails, len(vms))
	for i := range vms {
		all[i] = reader.read(ctx, &vms[i])
	}
	return all
}

// detailsReader reads the details of several VMs and remembers what they share.
type detailsReader struct {
	vms       *VMs
	stored    map[string]string              // templates in the control plane by the name of their ConfigMap; nil: not read yet
	resources map[string]*template.Resources // by template
}

func (r *detailsReader) read(ctx context.Context, vm *VM) VMDetails {
	d := VMDetails{VM: *vm}
	files := layout.Of(r.vms.session.core.inst, vm.Name)
	job, err := readJob(files)
	if err != nil { // it has not been prepared yet, or not on this host
		d.Resources = r.resourcesOf(r.next(ctx, vm, ""))
		return d
	}
	next := r.next(ctx, vm, job.Template)
	if !files.HostagentAlive() {
		d.Resources = r.resourcesOf(next)
		return d
	}
	d.Resources = r.resourcesOf(job.Template)
	if vm.DeletionTimestamp == nil && v1alpha1.TemplateDigest(next) == vm.Status.TemplateDigest {
		d.RestartNeeded, _ = template.Changes(job, event.Job{Template: next, Params: vm.Spec.Params}) // an error: they can't be known
	}
	return d
}

// next is the template of the VM's next start, given that of its last one. It is empty when it is not known yet.
func (r *detailsReader) next(ctx context.Context, vm *VM, last string) string {
	switch vm.Status.TemplateDigest {
	case "": // the service has not stored it yet
		return vm.Spec.Template
	case v1alpha1.TemplateDigest(last):
		return last
	}
	if r.stored == nil {
		r.stored = r.vms.storedTemplates(ctx)
	}
	return r.stored[v1alpha1.TemplateConfigMapName(vm.Name)]
}

// storedTemplates are the VMs' own templates by the name of their ConfigMap, or those that can be read.
func (v *VMs) storedTemplates(ctx context.Context) map[string]string {
	texts := map[string]string{}
	list, err := v.configMaps().List(ctx, metav1.ListOptions{})
	if err != nil {
		return texts
	}
	for i := range list.Items {
		if text, has, _ := unstructured.NestedString(list.Items[i].Object, "data", v1alpha1.TemplateKey); has {
			texts[list.Items[i].GetName()] = text
		}
	}
	return texts
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
