package template

import (
	"fmt"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"unicode"

	"github.com/docker/go-units"
	"github.com/lima-vm/lima/pkg/downloader"
	"github.com/lima-vm/lima/pkg/driverutil"
	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/store"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/lima/image"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/templatetext"
)

// checkFields checks what Lima would panic on, accept silently, or name badly.
func checkFields(y *limayaml.LimaYAML) error {
	if len(y.Base) > 0 {
		return lima.FieldErrorf("base", "must be embedded: store the output of `rdd vm create` from a file or URL, or `limactl template copy --embed-all`")
	}
	if y.Arch != nil && *y.Arch != "default" {
		if err := checkArch("arch", *y.Arch); err != nil {
			return err
		}
	}
	if len(y.Images) == 0 {
		return lima.FieldErrorf("images", "must name at least one image")
	}
	for _, f := range filesOf(y) {
		if f.relative() {
			return lima.FieldErrorf(f.field, "%q must be an absolute path: a template that is stored has no folder that it could be relative to", *f.path)
		}
	}
	if err := checkParams(y.Param); err != nil {
		return err
	}
	if err := checkEnv(y); err != nil {
		return err
	}
	for _, arch := range slices.Sorted(maps.Keys(y.CPUType)) {
		if err := checkArch("cpuType", arch); err != nil {
			return err
		}
	}
	arch := limayaml.ResolveArch(y.Arch)
	fits := false
	for i, img := range y.Images {
		field := fmt.Sprintf("images[%d]", i)
		if err := checkFile(field, img.File); err != nil {
			return err
		}
		if img.Kernel != nil {
			if err := checkFile(field+".kernel", img.Kernel.File); err != nil {
				return err
			}
		}
		if img.Initrd != nil {
			if err := checkFile(field+".initrd", *img.Initrd); err != nil {
				return err
			}
		}
		fits = fits || img.Arch == "" || img.Arch == arch
	}
	if !fits {
		return lima.FieldErrorf("images", "none is for the architecture %s", arch)
	}
	if err := checkNetworks(y); err != nil {
		return err
	}
	return checkNumbers(y)
}

// paramName matches the names that Lima accepts for a param. Lima builds a regular expression from a name before it
// validates the name.
var paramName = regexp.MustCompile("^[a-zA-Z][a-zA-Z0-9_]*$")

// checkParams checks names and values, the first by name first; Lima takes them in any order.
func checkParams(params map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if !paramName.MatchString(name) {
			return lima.FieldErrorf("param."+name, "its name must begin with a letter and hold only the letters a-z and A-Z, digits and _")
		}
		for _, r := range params[name] {
			if !unicode.IsPrint(r) && r != '\t' {
				return lima.FieldErrorf("param."+name, "its value contains the unprintable character %q", r)
			}
		}
	}
	return nil
}

func checkFile(field string, f limayaml.File) error {
	if f.Location == "" {
		return lima.FieldErrorf(field+".location", "must be a path or a URL")
	}
	if f.Arch != "" {
		if err := checkArch(field+".arch", f.Arch); err != nil {
			return err
		}
	}
	if f.Digest == "" {
		return nil
	}
	if err := f.Digest.Validate(); err != nil {
		return lima.FieldErrorf(field+".digest", "%q is not a digest such as sha256: and 64 hexadecimal digits: %w", f.Digest, err)
	}
	return nil
}

func checkArch(field string, arch limayaml.Arch) error {
	if slices.Contains(limayaml.ArchTypes, arch) {
		return nil
	}
	return lima.FieldErrorf(field, "must be one of %s; got %q", strings.Join(limayaml.ArchTypes, ", "), arch)
}

// checkDriver reports whether this host can run VMs of the template's type.
func checkDriver(vm layout.VM, y *limayaml.LimaYAML) error {
	if types := driverutil.Drivers(); !slices.Contains(types, *y.VMType) {
		return lima.FieldErrorf("vmType", "must be one of %s on this computer; got %q", strings.Join(types, ", "), *y.VMType)
	}
	if *y.VMType == limayaml.QEMU {
		return checkQEMUMounts(*y.MountType)
	}
	inst := &store.Instance{Name: vm.Name, Dir: vm.Dir(), VMType: *y.VMType, Arch: *y.Arch, Config: y}
	if err := driverutil.CreateTargetDriverInstance(inst, 0).Validate(); err != nil {
		return LimaError(err)
	}
	return nil
}

// checkQEMUMounts reports whether QEMU can share folders in that way here.
func checkQEMUMounts(mountType limayaml.MountType) error {
	types := []string{limayaml.REVSSHFS, limayaml.NINEP}
	if runtime.GOOS == "linux" {
		types = append(types, limayaml.VIRTIOFS)
	}
	if !slices.Contains(types, mountType) {
		return lima.FieldErrorf("mountType", "must be one of %s with QEMU on this computer; got %q", strings.Join(types, ", "), mountType)
	}
	return nil
}

func checkNumbers(y *limayaml.LimaYAML) error {
	if y.CPUs != nil && *y.CPUs < 0 {
		return lima.FieldErrorf("cpus", "must be at least 1; got %d", *y.CPUs)
	}
	for _, size := range []struct {
		field string
		value *string
		least int64
		zero  bool
	}{
		{"memory", y.Memory, templatetext.MinMemory, false},
		{"disk", y.Disk, templatetext.MinDisk, true}, // 0: no disk besides the image
	} {
		if size.value == nil || *size.value == "" {
			continue
		}
		n, err := parseSize(*size.value)
		if err != nil {
			return lima.FieldErrorf(size.field, "must be a size such as 4GiB; got %q", *size.value)
		}
		if n < size.least && (n != 0 || !size.zero) {
			return lima.FieldErrorf(size.field, "%q is too small: at least %s, with a unit such as MiB or GiB", *size.value, units.BytesSize(float64(size.least)))
		}
	}
	return nil
}

// checkSizes compares the disk with an image that is already on this machine.
func checkSizes(y *limayaml.LimaYAML) error {
	for i, img := range y.Images {
		if img.Arch != *y.Arch || !downloader.IsLocal(img.Location) {
			continue
		}
		path, err := image.LocalPath(img.Location)
		if err != nil {
			return lima.FieldError(fmt.Sprintf("images[%d].location", i), err)
		}
		if size, ok := image.VirtualSize(path); ok {
			return CheckDiskFits(*y.Disk, size)
		}
	}
	return nil
}

// CheckDiskFits reports whether an image of size bytes fits on a disk.
func CheckDiskFits(disk string, size int64) error {
	n, err := parseSize(disk)
	if err != nil || n == 0 || DiskSize(n) >= size {
		return nil
	}
	return lima.FieldErrorf("disk", "%s is smaller than the image, which needs %s: set disk to at least that", disk, units.BytesSize(float64(size)))
}
