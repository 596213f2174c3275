package core

import (
	"context"

	"rancherdesktop.io/rdd/core/template"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/templatetext"
)

// VMResources are what a VM gets at its next start and what its running guest has.
type VMResources struct {
	Next    template.Resources  `json:"next"`
	Current *template.Resources `json:"current,omitempty"` // of the running guest; nil when there is none
	Min     template.Resources  `json:"least"`
	Max     template.Resources  `json:"most"`
	Pending bool                `json:"pending"` // Next waits for a restart
}

// Resources tells what a VM gets of this computer, and could get.
func (v *VMs) Resources(ctx context.Context, name string) (r VMResources, err error) {
	const op = "read the resources of VM"
	own, err := v.Template(ctx, name)
	if err != nil {
		return r, err
	}
	if r.Next, err = template.ResourcesOf(own.Text); err != nil {
		return r, Failed(op, name, err)
	}
	c := v.session.core
	computer := c.Host()
	r.Min = template.Resources{CPUs: 1, Memory: templatetext.MinMemory, Disk: templatetext.MinDisk}
	r.Max = template.Resources{CPUs: max(computer.CPUs, r.Next.CPUs), Memory: max(computer.Memory, r.Next.Memory), Disk: max(computer.Disk, r.Next.Disk)}
	vm := layout.Of(c.inst, name)
	if _, size := diskUsage(vm.Disk()); size > 0 {
		r.Min.Disk = size // it can only grow
	}
	launched, running, err := c.launched(name)
	if err != nil || !running {
		return r, Failed(op, name, err)
	}
	current, err := template.ResourcesOf(launched.Template)
	if err != nil {
		return r, Failed(op, name, err)
	}
	r.Current, r.Pending = &current, current != r.Next
	return r, nil
}

// SetResources changes what a VM gets at its next start, in its own template, and waits until that is
// known to whoever runs the VM.
func (v *VMs) SetResources(ctx context.Context, name string, r template.Resources, w Wait) error {
	const op = "change the resources of VM"
	w = w.fromNow()
	was, err := v.Template(ctx, name)
	if err != nil {
		return err
	}
	text, err := template.WithResources(was.Text, r)
	if err != nil {
		return Failed(op, name, err)
	}
	if text == was.Text {
		return nil
	}
	return v.SetTemplate(ctx, name, was, text, w)
}
