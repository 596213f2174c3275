package template

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/lima/image"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// ValidateChange reports whether Lima accepts the template for a VM that may have a disk already. It refuses to change
// what the disk was made of. The error is a *PermanentError that names the field.
func ValidateChange(vm layout.VM, template []byte, params map[string]string, asRoot bool) error {
	full, err := validate(vm, true, template, params, asRoot)
	if err != nil || !layout.Exists(vm.Disk()) || vm.Unfinished() {
		return err
	}
	old, err := os.ReadFile(vm.LimaYAML())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the configuration of VM %q: %w", vm.Name, err)
	}
	return CheckChange(vm, old, full)
}

// CheckChange compares the configuration that a VM's disk was made by with a new one, which has every default filled
// in.
func CheckChange(vm layout.VM, old []byte, y *limayaml.LimaYAML) error {
	return checkChange(vm, old, y, func(y *limayaml.LimaYAML) any { return imagesFor(y) })
}

// CheckMove is CheckChange for a VM whose images may be elsewhere now, if they are the same.
func CheckMove(vm layout.VM, old []byte, y *limayaml.LimaYAML) error {
	return checkChange(vm, old, y, func(y *limayaml.LimaYAML) any { return ImagesOf(y) })
}

// ImagesOf identifies what a VM is made of: the digests of its images, kernels and initrds, or where they are if they have none.
func ImagesOf(y *limayaml.LimaYAML) string {
	id := func(f limayaml.File) string { return cmp.Or(string(f.Digest), f.Location) }
	var all []string
	for _, img := range imagesFor(y) {
		all = append(all, id(img.File))
		if img.Kernel != nil {
			all = append(all, id(img.Kernel.File), img.Kernel.Cmdline)
		}
		if img.Initrd != nil {
			all = append(all, id(*img.Initrd))
		}
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(strings.Join(all, "\x00"))))
}

// checkChange is CheckChange with what the images of a VM are compared by.
func checkChange(vm layout.VM, old []byte, y *limayaml.LimaYAML, images func(*limayaml.LimaYAML) any) error {
	was, err := Load(vm, old)
	if err != nil {
		return nil //nolint:nilerr // an older RDD or Lima took it; there is nothing to compare with
	}
	for _, f := range []struct {
		field    string
		was, now any
	}{
		{"vmType", *was.VMType, *y.VMType},
		{"os", *was.OS, *y.OS},
		{"arch", *was.Arch, *y.Arch},
		{"images", images(was), images(y)},
	} {
		if !reflect.DeepEqual(f.was, f.now) {
			return lima.FieldErrorf(f.field, "can't change: the VM's disk was made of what it was; leave it, or make another VM")
		}
	}
	return checkShrink(vm, *was.Disk, *y.Disk)
}

// imagesFor lists the images for the VM's architecture. Those for others are never used.
func imagesFor(y *limayaml.LimaYAML) []limayaml.Image {
	return slices.DeleteFunc(slices.Clone(y.Images), func(img limayaml.Image) bool { return img.Arch != *y.Arch })
}

// checkShrink checks that the disk of vm doesn't have to shrink to the size now. If there is a disk, its
// own size counts and not the configured size was, so that a size which the disk never got can be reverted.
func checkShrink(vm layout.VM, was, now string) error {
	has, ok := image.VirtualSize(vm.Disk())
	if !ok {
		n, err := parseSize(was)
		if err != nil {
			return err
		}
		has = DiskSize(n)
	}
	want, err := parseSize(now)
	if err != nil {
		return lima.FieldError("disk", err)
	}
	if DiskSize(want) < has {
		return lima.FieldErrorf("disk", "%s is smaller than the disk is already, %s: it can only grow", now, FormatSize(has))
	}
	return nil
}
