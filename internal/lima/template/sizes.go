package template

import (
	"fmt"
	"math"
	"runtime"

	"github.com/docker/go-units"
	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/host"
	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/lima/image"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/templatetext"
)

// sector is the unit of QEMU's disk sizes.
const sector = 512

// parseSize parses a size as Lima does. A size that is too large for Lima becomes the largest possible.
func parseSize(text string) (int64, error) {
	n, err := units.RAMInBytes(text)
	if err == nil && n < 0 {
		n = math.MaxInt64
	}
	return n, err
}

// DiskSize rounds n up to the size that QEMU gives to a disk.
func DiskSize(n int64) int64 {
	if n > math.MaxInt64-sector {
		return n
	}
	return (n + sector - 1) / sector * sector
}

// FormatSize formats n bytes as a size for a template.
func FormatSize(n int64) string {
	for _, u := range []struct {
		bytes int64
		name  string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.bytes && n%u.bytes == 0 {
			return fmt.Sprintf("%d%s", n/u.bytes, u.name)
		}
	}
	return fmt.Sprintf("%dB", n)
}

// maxCPUs is the largest number of processors for a VM on this host. More than the host has make it slow; many more
// keep it from booting.
func maxCPUs() int { return min(255, max(16, 4*runtime.NumCPU())) }

// checkHostHas checks that this host has what a template asks for. A disk that the VM already has is accepted.
func checkHostHas(vm layout.VM, named bool, y *limayaml.LimaYAML) error {
	if most := maxCPUs(); y.CPUs != nil && *y.CPUs > most {
		return lima.FieldErrorf("cpus", "must be from 1 to %d on this host, which has %d; got %d", most, runtime.NumCPU(), *y.CPUs)
	}
	if y.Memory != nil && *y.Memory != "" {
		n, err := parseSize(*y.Memory)
		if has, unknown := host.MemoryOf(); err == nil && unknown == nil && has.Total > 0 && uint64(n) > has.Total {
			return lima.FieldErrorf("memory", "must be from %s to %s, which is all that this host has; got %s", FormatSize(templatetext.MinMemory), wholeMiB(has.Total), *y.Memory)
		}
	}
	if y.Disk == nil || *y.Disk == "" {
		return nil
	}
	n, err := parseSize(*y.Disk)
	if err != nil {
		return nil //nolint:nilerr // checkNumbers has said so
	}
	if named {
		if has, ok := image.VirtualSize(vm.Disk()); ok && DiskSize(n) <= has {
			return nil
		}
	}
	if has, err := host.DiskOf(vm.Home); err == nil && has.Total > 0 && uint64(n) > has.Total {
		return lima.FieldErrorf("disk", "must be from %s to %s, which is all that the file system of %s holds; got %s", FormatSize(templatetext.MinDisk), wholeMiB(has.Total), vm.Home, *y.Disk)
	}
	return nil
}

// wholeMiB formats a size for a template, rounded down.
func wholeMiB(n uint64) string {
	if n >= 10<<30 {
		return FormatSize(int64(n) >> 30 << 30)
	}
	return FormatSize(int64(n) >> 20 << 20)
}
