package host

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
)

// MemoryOf returns this computer's memory. Source: proc_meminfo(5).
func MemoryOf() (m Memory, err error) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return m, err
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		var kib uint64
		name, value, _ := strings.Cut(s.Text(), ":")
		if _, err := fmt.Sscan(value, &kib); err != nil {
			continue
		}
		switch name {
		case "MemTotal":
			m.Total = kib << 10
		case "MemAvailable":
			m.Available = kib << 10
		}
	}
	return m, nil
}

// Virtual says whether this computer is known to be a virtual machine itself.
func Virtual() bool {
	b, err := os.ReadFile("/proc/cpuinfo")
	return err == nil && bytes.Contains(b, []byte(" hypervisor"))
}
