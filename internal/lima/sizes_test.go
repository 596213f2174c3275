//go:build unix

package lima

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/host"
)

func TestSizesThatTheHostDoesNotHave(t *testing.T) {
	vm := newVM(t)
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

func TestDiskOfAnySizeStartsAgain(t *testing.T) {
	programs(t)
	vm := newVM(t)
	template := fmt.Sprintf("images: [{location: %s}]\ndisk: ", writeImage(t))
	prepare := func(size string, want int64) {
		t.Helper()
		if err := ValidateChange(vm, []byte(template+size+"\n"), nil, true); err != nil {
			t.Errorf("%s: %v", size, err)
		}
		if _, err := prepareVM(t.Context(), vm, template+size+"\n"); err != nil {
			t.Errorf("%s: %v", size, err)
		}
		if has, _ := virtualSize(filepath.Join(vm.Dir(), "diffdisk")); has != want {
			t.Errorf("%s: the disk has %d bytes, want %d", size, has, want)
		}
	}
	prepare("0.0301GiB", 32320000) // 32319628.9 bytes
	prepare("0.0301GiB", 32320000)
	prepare("33.3MB", diskSize(34917580))
	prepare("33.3MB", diskSize(34917580))
}

func TestSizeThatADiskNeverGotCanBeTakenBack(t *testing.T) {
	programs(t)
	vm := newVM(t)
	template := fmt.Sprintf("images: [{location: %s}]\ndisk: ", writeImage(t))
	if _, err := prepareVM(t.Context(), vm, template+"32MiB\n"); err != nil {
		t.Fatal(err)
	}
	// An edit that was written, and whose disk could not be made.
	config := filepath.Join(vm.Dir(), "lima.yaml")
	b, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, config, strings.Replace(string(b), "32MiB", "64MiB", 1))
	if err := ValidateChange(vm, []byte(template+"32MiB\n"), nil, true); err != nil {
		t.Error(err)
	}
	if _, err := prepareVM(t.Context(), vm, template+"32MiB\n"); err != nil {
		t.Error(err)
	}
	if p, ok := errors.AsType[*PermanentError](ValidateChange(vm, []byte(template+"31MiB\n"), nil, true)); !ok || p.Field != "disk" || !strings.Contains(p.Error(), "32MiB") {
		t.Error(p)
	}
}
