//go:build linux

package template

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"rancherdesktop.io/rdd/internal/lima/limatest"

	"rancherdesktop.io/rdd/internal/machine/layout"
)

// disk makes the additional disk called name, with bytes at some offset.
func disk(t *testing.T, vm layout.VM, name, text string, at int64) string {
	t.Helper()
	path := filepath.Join(vm.Home, "_disks", name, "datadisk")
	limatest.WriteFile(t, path, "")
	f, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(16 << 20); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(text), at); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDiskThatHoldsDataIsNotFormatted(t *testing.T) {
	limatest.Needs(t, "mkfs.ext4", "qemu-img")
	vm := limatest.NewVM(t)
	disk(t, vm, "blank", "", 0)
	disk(t, vm, "mbr", "data", 0)
	disk(t, vm, "lvm", "LABELONE", 512)
	disk(t, vm, "btrfs", "_BHRfS_M", 65<<10)
	disk(t, vm, "torn", "data", 1<<20)
	for name, label := range map[string]string{"mine": "lima-mine", "renamed": "lima-other", "a-rather-long-name": "lima-a-rather-lo", "data": "lima-data2"} {
		path := disk(t, vm, name, "EFI PART", 512)
		if out, err := exec.Command("mkfs.ext4", "-q", "-F", "-L", label, "-E", "offset=1048576", path, "8M").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	mine := filepath.Join(vm.Home, "_disks", "mine", "datadisk")
	qcow2 := filepath.Join(vm.Home, "_disks", "qcow2", "datadisk")
	limatest.WriteFile(t, qcow2, "")
	if out, err := exec.Command("qemu-img", "convert", "-O", "qcow2", mine, qcow2).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	judged(t, vm, []verdict{
		{"blank", "additionalDisks: [blank]\n", "", ""},
		{"formatted by an earlier start", "additionalDisks: [mine]\n", "", ""},
		{"with a label that is cut off", "additionalDisks: [a-rather-long-name]\n", "", ""},
		{"that is not to be formatted", "additionalDisks: [{name: renamed, format: false}]\n", "", ""},

		{"a partition table", "additionalDisks: [mbr]\n", "additionalDisks[0].format", "holds data and lacks the label lima-mbr"},
		{"LVM", "additionalDisks: [lvm]\n", "additionalDisks[0].format", "holds data"},
		{"a file system without a partition", "additionalDisks: [btrfs]\n", "additionalDisks[0].format", "holds data"},
		{"without a table", "additionalDisks: [torn]\n", "additionalDisks[0].format", "holds data"},
		{"renamed", "additionalDisks: [blank, renamed]\n", "additionalDisks[1].format", "holds data"},
		{"a label that begins alike", "additionalDisks: [{name: data}]\n", "additionalDisks[0].format", "holds data"},
		{"another format of image", "additionalDisks: [qcow2]\n", "additionalDisks[0].format", "holds data"},
		{"that is to be formatted", "additionalDisks: [{name: renamed, format: true}]\n", "additionalDisks[0].format", "holds data"},
		{"that is not there", "additionalDisks: [{name: none, format: false}]\n", "additionalDisks[0].name", "qemu-img create"},
	})
}
