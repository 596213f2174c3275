package core

import (
	"context"
	"errors"
	"os"

	"rancherdesktop.io/rdd/core/template"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/templatetext"
)

// VMResources are the resources of a VM and their limits.
type VMResources struct {
	Next    template.Resources  `json:"next"`              // of the next start
	Current *template.Resources `json:"current,omitempty"` // of the running guest; nil when there is none
	Min     template.Resources  `json:"least"`
	Max     template.Resources  `json:"most"`
	Pending bool                `json:"pending"` // Next differs from Current
}

// Resources returns the resources of a VM and their limits.
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
	host := c.Host()
	r.Min = template.Resources{CPUs: 1, Memory: templatetext.MinMemory, Disk: templatetext.MinDisk}
	r.Max = template.Resources{CPUs: max(host.CPUs, r.Next.CPUs), Memory: max(host.Memory, r.Next.Memory), Disk: max(host.Disk, r.Next.Disk)}
	vm := layout.Of(c.inst, name)
	if _, size := layout.DiskUsage(vm.Disk()); size > 0 {
		r.Min.Disk = size // a disk can only grow
	}
	job, err := readJob(vm)
	if !vm.HostagentAlive() || errors.Is(err, os.ErrNotExist) { // an older version of RDD writes no such file
		return r, nil
	}
	var current template.Resources
	if err == nil {
		current, err = template.ResourcesOf(job.Template)
	}
	if err != nil {
		return r, Failed(op, name, err)
	}
	r.Current, r.Pending = &current, current != r.Next
	return r, nil
}

// SetResources changes the resources in the VM's own template, and waits until the controller has seen the change. It takes
// effect at the VM's next start.
func (v *VMs) SetResources(ctx context.Context, name string, r template.Resources, w Wait) error {
	const op = "change the resources of VM"
	w = w.FromNow()
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
