package core

import (
	"runtime"

	"rancherdesktop.io/rdd/internal/host"
)

// Host has the resources of this computer, which limit those of its VMs.
type Host struct {
	CPUs   int    `json:"cpus"`
	Memory int64  `json:"memory"` // bytes; 0 when unknown
	Disk   int64  `json:"disk"`   // size in bytes of the file system for the VMs' disks; 0 when unknown
	OS     string `json:"os"`
}

// Host returns the resources of this computer.
func (c *Core) Host() Host {
	all := Host{CPUs: runtime.NumCPU(), OS: runtime.GOOS}
	if m, err := host.MemoryOf(); err == nil {
		all.Memory = int64(m.Total)
	}
	if d, err := host.DiskOf(c.inst.LimaHome()); err == nil {
		all.Disk = int64(d.Total)
	}
	return all
}
