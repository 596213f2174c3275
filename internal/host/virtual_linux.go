package host

import (
	"bytes"
	"os"
)

// Virtual reports whether this computer is itself a virtual machine, according to its processor. (gopsutil only knows the
// names of some hypervisors.)
func Virtual() bool {
	b, err := os.ReadFile("/proc/cpuinfo")
	return err == nil && bytes.Contains(b, []byte(" hypervisor"))
}
