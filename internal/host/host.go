// Package host reports the disk space and memory of this computer, and whether it is itself a virtual machine. core and
// rdd-lima use it.
package host

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/mem"
)

// Disk is the file system of a path.
type Disk struct {
	Name        string // equal for two paths on the same file system
	Total, Free uint64 // in bytes, without the part that is reserved for root
}

// Used returns the usage of the disk in percent.
func (d Disk) Used() int {
	if d.Total == 0 {
		return 0
	}
	return int(100 * float64(d.Total-min(d.Free, d.Total)) / float64(d.Total))
}

// DiskOf returns the disk of path. If path doesn't exist, that is the disk of its nearest existing parent.
func DiskOf(path string) (Disk, error) {
	for {
		info, err := os.Stat(path)
		if err == nil || filepath.Dir(path) == path {
			usage, err := disk.Usage(path)
			if err != nil {
				return Disk{}, fmt.Errorf("read the free space of %s: %w", path, err)
			}
			return Disk{Name: device(path, info), Total: usage.Used + usage.Free, Free: usage.Free}, nil
		}
		path = filepath.Dir(path)
	}
}

// Memory is the memory of this computer, in bytes.
type Memory struct{ Total, Available uint64 }

// MemoryOf returns the memory of this computer.
func MemoryOf() (Memory, error) {
	m, err := mem.VirtualMemory()
	if err != nil {
		return Memory{}, err
	}
	return Memory{m.Total, m.Available}, nil
}
