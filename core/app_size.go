package core

import (
	"k8s.io/apimachinery/pkg/api/resource"

	app "rancherdesktop.io/rdd/internal/api/app/v1alpha1"
)

// AppSize is the size of the App's virtual machine and what it shares with this host.
type AppSize = app.VirtualMachine

// AppMount is a folder of this host that the App's virtual machine shares.
type AppMount = app.Mount

// AppDefaults returns what the App has on this computer where its spec says nothing.
func (c *Core) AppDefaults() AppSize {
	host := c.Host()
	return AppSize{
		CPUs:   app.DefaultCPUs(host.CPUs),
		Memory: resource.NewQuantity(app.DefaultMemory(host.Memory), resource.BinarySI),
		Disk:   resource.NewQuantity(app.DefaultDisk, resource.BinarySI),
		Mounts: []AppMount{{Path: c.inst.Home(), Writable: true}},
	}
}

// Quantity writes a number of bytes as the App's spec does, for example 4Gi.
func Quantity(bytes int64) string { return resource.NewQuantity(bytes, resource.BinarySI).String() }
