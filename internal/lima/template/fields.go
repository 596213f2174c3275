package template

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"path/filepath"
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
		if err := f.check(); err != nil {
			return err
		}
	}
	if err := cmp.Or(checkParams(y.Param), checkEnv(y)); err != nil {
		return err
	}
	for _, arch := range slices.Sorted(maps.Keys(y.CPUType)) {
		if err := checkArch("cpuType", arch); err != nil {
			return err
		}
	}
	arch := limayaml.ResolveArch(y.Arch)
	if !slices.ContainsFunc(y.Images, func(img limayaml.Image) bool { return img.Arch == "" || img.Arch == arch }) {
		return lima.FieldErrorf("images", "none is for the architecture %s", arch)
	}
	return cmp.Or(checkNetworks(y), checkNumbers(y))
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

func checkArch(field string, arch limayaml.Arch) error {
	return checkOneOf(field, arch, limayaml.ArchTypes, "")
}

// checkOneOf checks that a field has one of the allowed values. where is added to the message.
func checkOneOf(field, value string, allowed []string, where string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return lima.FieldErrorf(field, "must be one of %s%s; got %q", strings.Join(allowed, ", "), where, value)
}

// checkDriver reports whether this host can run VMs of the template's type.
func checkDriver(vm layout.VM, y *limayaml.LimaYAML) error {
	if err := checkOneOf("vmType", *y.VMType, driverutil.Drivers(), " on this computer"); err != nil {
		return err
	}
	if *y.VMType == limayaml.QEMU {
		types := []string{limayaml.REVSSHFS, limayaml.NINEP}
		if runtime.GOOS == "linux" {
			types = append(types, limayaml.VIRTIOFS)
		}
		return checkOneOf("mountType", *y.MountType, types, " with QEMU on this computer")
	}
	inst := &store.Instance{Name: vm.Name, Dir: vm.Dir(), VMType: *y.VMType, Arch: *y.Arch, Config: y}
	return LimaError(driverutil.CreateTargetDriverInstance(inst, 0).Validate())
}

// checkNetworks refuses networks that a VM can't join.
func checkNetworks(y *limayaml.LimaYAML) error {
	for i, n := range y.Networks {
		field := fmt.Sprintf("networks[%d]", i)
		switch {
		case n.Lima != "":
			return lima.FieldErrorf(field+".lima", "%q is a network of Lima's, whose daemon RDD doesn't run: leave it out, because a VM reaches the internet and the host without it, or name the socket of a network that runs, with socket: PATH", n.Lima)
		case n.Socket == "" && (n.VZNAT == nil || !*n.VZNAT):
			return lima.FieldErrorf(field+".socket", "must be the path of the socket of a network that runs; or leave the network out")
		case n.Socket != "" && !filepath.IsAbs(n.Socket):
			return lima.FieldErrorf(field+".socket", "must be an absolute path; got %q", n.Socket)
		}
		if n.MACAddress == "" {
			continue
		}
		if mac, err := net.ParseMAC(n.MACAddress); err != nil || len(mac) != 6 {
			return lima.FieldErrorf(field+".macAddress", "must be six bytes such as 52:55:55:12:34:56; got %q", n.MACAddress)
		} else if mac[0]&1 != 0 {
			return lima.FieldErrorf(field+".macAddress", "%s is a multicast address: its first byte must be even, such as 52", n.MACAddress)
		}
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
