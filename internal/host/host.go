// Package host says what this computer has left: disk space and memory. The core's diagnosis asks it.
package host

import (
	"os"
	"path/filepath"
)

// Disk is a file system.
type Disk struct {
	Name        string // the same for two paths on one file system
	Total, Free uint64 // in bytes; Free is what a user may still take
}

// Used is how full the disk is, in percent.
func (d Disk) Used() int {
	if d.Total == 0 {
		return 0
	}
	return int(100 * float64(d.Total-min(d.Free, d.Total)) / float64(d.Total))
}

// DiskOf returns the disk on which path is, or would be.
func DiskOf(path string) (Disk, error) {
	for {
		if _, err := os.Stat(path); err == nil || filepath.Dir(path) == path {
			return diskOf(path)
		}
		path = filepath.Dir(path)
	}
}

// Memory is the computer's memory, in bytes. Available is what programs can still get without
// swapping; 0 where the system doesn't say.
type Memory struct{ Total, Available uint64 }
