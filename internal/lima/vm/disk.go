package vm

import (
	"github.com/lima-vm/lima/pkg/imgutil/proxyimgutil"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/lima/image"
	"rancherdesktop.io/rdd/internal/lima/template"
)

// growDisk grows the disk to the size in the configuration. It does nothing for a VM without a disk.
func growDisk(path string, want int64) error {
	have, ok := image.VirtualSize(path)
	want = template.DiskSize(want)
	switch {
	case !ok || want == 0 || have == want:
		return nil
	case have > want:
		return lima.FieldErrorf("disk", "the VM's disk has %s and can't shrink: set disk to at least that", template.FormatSize(have))
	}
	return proxyimgutil.NewDiskUtil().ResizeDisk(path, want)
}
