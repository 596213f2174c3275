// Package host says what this computer has: disk space, memory, and whether it is a virtual machine itself.
package host

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/mem"
)

// Disk is the file system that a path is on.
type Disk struct {
	Name        string // the same for two paths on one file system
	Total, Free uint64 // in bytes; Free is what a user may still take, and nothing reserved for root counts
}

// Used is how full the disk is, in percent.
func (d Disk) Used() int {
	if d.Total == 0 {
		return 0
	}
	return int(100 * float64(d.Total-min(d.Free, d.Total)) / float64(d.Total))
}

// DiskOf looks at the disk where path is, or would be if it was made.
func DiskOf(path string) (Disk, error) {
	for {
		info, err := os.Stat(path)
		if err == nil || filepath.Dir(path) == path {
			usage, err := disk.Usage(path)
			if err != nil {
				return Disk{}, fmt.Errorf("free space of %s: %w", path, err)
			}
			return Disk{Name: device(path, info), Total: usage.Used + usage.Free, Free: usage.Free}, nil
		}
		path = filepath.Dir(path)
	}
}

// Memory is what this computer has, in bytes.
type Memory struct{ Total, Available uint64 }

// MemoryOf asks the system.
func MemoryOf() (Memory, error) {
	m, err := mem.VirtualMemory()
	if err != nil {
		return Memory{}, err
	}
	return Memory{m.Total, m.Available}, nil
}
