package host

import (
	"bytes"
	"os"
)

// Virtual says whether this computer is a virtual machine itself: its processor says so. (gopsutil only knows
// some hypervisors, by their names.)
func Virtual() bool {
	b, err := os.ReadFile("/proc/cpuinfo")
	return err == nil && bytes.Contains(b, []byte(" hypervisor"))
}
