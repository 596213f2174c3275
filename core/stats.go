package core

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/process"

	"rancherdesktop.io/rdd/internal/host"
	"rancherdesktop.io/rdd/internal/lifecycle"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// Stats is the current resource usage of a VM or of the service.
type Stats struct {
	Name   string        `json:"name"`   // of the VM; empty for the service
	CPU    time.Duration `json:"-"`      // processor time since its process started; 0 while it doesn't run
	Memory int64         `json:"memory"` // resident memory in bytes; 0 while it doesn't run
	Disk   int64         `json:"disk"`   // bytes that its disk image uses
	Max    int64         `json:"max"`    // capacity of its disk in bytes; 0 when unknown
}

// Stats measures the service and the named VMs, in this order, without a request to the service. It leaves out the service
// if it doesn't run.
func (c *Core) Stats(ctx context.Context, vms []string) []Stats {
	all := make([]Stats, 0, len(vms)+1)
	if rec, live, err := lifecycle.Find(c.inst); err == nil && live {
		all = append(all, Stats{}.measure(ctx, rec.PID))
	}
	for _, name := range vms {
		vm := layout.Of(c.inst, name)
		u := Stats{Name: name}
		u.Disk, u.Max = layout.DiskUsage(vm.Disk())
		if pid, ok := qemuPID(vm); ok {
			u = u.measure(ctx, pid)
		}
		all = append(all, u)
	}
	return all
}

func (s Stats) measure(ctx context.Context, pid int) Stats {
	p, err := process.NewProcessWithContext(ctx, int32(pid))
	if err != nil {
		return s
	}
	if times, err := p.TimesWithContext(ctx); err == nil {
		s.CPU = time.Duration((times.User + times.System) * float64(time.Second))
	}
	if memory, err := p.MemoryInfoWithContext(ctx); err == nil {
		s.Memory = int64(memory.RSS)
	}
	return s
}

// qemuPID returns the process ID of the VM's QEMU from the file of Lima's QEMU driver. It is valid only while that process
// holds the lock.
func qemuPID(vm layout.VM) (int, bool) {
	text, err := os.ReadFile(vm.QEMUPID())
	if err != nil {
		return 0, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid, err == nil && proc.Holds(pid, vm.QEMULock())
}

// VMsOnDisk names the VMs that have files, such as disks, on this host. It works without the service, and changes nothing.
func (c *Core) VMsOnDisk() (names []string) {
	for _, vm := range layout.Found(c.inst) {
		names = append(names, vm.Name)
	}
	return names
}

// LiveVMs names the running VMs, according to their locks, so it works without the service. It changes nothing.
func (c *Core) LiveVMs() (names []string) {
	for _, vm := range layout.Found(c.inst) {
		if vm.Alive() {
			names = append(names, vm.Name)
		}
	}
	return names
}

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
