package core

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/process"

	"rancherdesktop.io/rdd/internal/lifecycle"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// Stats is what a VM, or the service itself, takes of this computer at one moment.
type Stats struct {
	Name   string        `json:"name"`   // of the VM; empty for the service
	CPU    time.Duration `json:"-"`      // processor time since its process began; 0 while it doesn't run
	Memory int64         `json:"memory"` // bytes resident; 0 while it doesn't run
	Disk   int64         `json:"disk"`   // bytes that its disk takes on this computer
	Max    int64         `json:"max"`    // bytes that its disk can hold; 0 when unknown
}

// Stats measures the service and each of the named VMs, in this order. It asks this computer, not
// the service, and leaves out what it can't find.
func (c *Core) Stats(ctx context.Context, vms []string) []Stats {
	all := make([]Stats, 0, len(vms)+1)
	if rec, live, err := lifecycle.Find(c.inst); err == nil && live {
		all = append(all, Stats{}.measure(ctx, rec.PID))
	}
	for _, name := range vms {
		vm := layout.Of(c.inst, name)
		u := Stats{Name: name}
		u.Disk, u.Max = diskUsage(vm.Disk())
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

// qemuPID is the process that runs the guest; Lima's QEMU driver writes it down. The file is about a
// living process only while that holds the lock.
func qemuPID(vm layout.VM) (int, bool) {
	text, err := os.ReadFile(vm.QEMUPID())
	if err != nil {
		return 0, false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid, err == nil && proc.Holds(pid, vm.QEMULock())
}

// diskUsage is how much of a disk image is allocated, and how much it can hold.
func diskUsage(path string) (allocated, size int64) {
	file, err := os.Open(path)
	if err != nil {
		return 0, 0
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, 0
	}
	size, err = diskSize(file)
	if err != nil {
		size = info.Size() // a raw image
	}
	return allocatedBytes(info), size
}

// diskSize reads the virtual size in a qcow2 header.
// Source: docs/interop/qcow2.txt of QEMU: magic at byte 0, size at byte 24, big-endian. (go-qcow2reader, which
// Lima uses, also reads the L1 table and opens the backing file; a chart asks every second.)
func diskSize(r io.Reader) (int64, error) {
	var header [32]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, err
	}
	if string(header[:4]) != "QFI\xfb" {
		return 0, errors.New("not a qcow2 image")
	}
	return int64(binary.BigEndian.Uint64(header[24:])), nil
}

// LiveVMs names the virtual machines that run now, whether a service does or not: locks say so. It changes
// nothing.
func (c *Core) LiveVMs() (names []string) {
	for _, vm := range layout.Found(c.inst) {
		if vm.Alive() {
			names = append(names, vm.Name)
		}
	}
	return names
}
