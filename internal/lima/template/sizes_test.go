//go:build unix

package template

import (
	"fmt"
	"testing"

	"rancherdesktop.io/rdd/internal/lima/limatest"

	"rancherdesktop.io/rdd/internal/host"
)

func TestSizesThatTheHostDoesNotHave(t *testing.T) {
	vm := limatest.NewVM(t)
	memory, err := host.MemoryOf()
	if err != nil {
		t.Fatal(err)
	}
	disk, err := host.DiskOf(vm.Home)
	if err != nil {
		t.Fatal(err)
	}
	judged(t, vm, []verdict{
		{"disks of any size", "disk: 10.1GiB\n", "", ""},
		{"a small disk", "disk: 0.1GiB\n", "", ""},
		{"all memory", fmt.Sprintf("memory: %dB\n", memory.Total), "", ""},
		{"all of the file system", fmt.Sprintf("disk: %dB\n", disk.Total), "", ""},
		{"as many processors as can be", fmt.Sprintf("cpus: %d\n", maxCPUs()), "", ""},
		{"the default", "cpus: 0\nmemory: ''\ndisk: ''\n", "", ""},

		{"more memory", fmt.Sprintf("memory: %dB\n", memory.Total+1), "memory", "from 64MiB to "},
		{"memory beyond all numbers", "memory: 9999999PiB\n", "memory", "from 64MiB to "},
		{"a larger disk", fmt.Sprintf("disk: %dB\n", disk.Total+1), "disk", "from 16MiB to "},
		{"a disk beyond all numbers", "disk: 9999999PiB\n", "disk", "from 16MiB to "},
		{"a million processors", "cpus: 1000000\n", "cpus", fmt.Sprintf("from 1 to %d", maxCPUs())},
	})
}
