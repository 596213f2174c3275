package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/store/filenames"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/lima/image"
	"rancherdesktop.io/rdd/internal/lima/systemdisk"
	"rancherdesktop.io/rdd/internal/lima/template"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// planReplacement completes a replacement of the system disk that was interrupted, or brings the old disk back. It reports whether
// the disk is to be replaced now. Where it can't be, the VM keeps the images that its disk was made of.
func (p *preparer) planReplacement() (bool, error) {
	if !layout.Exists(p.vm.Prepared()) {
		return false, nil
	}
	if err := systemdisk.Resume(p.vm); err != nil || !p.o.ReplaceSystemDisk {
		return false, err
	}
	old, err := os.ReadFile(p.vm.LimaYAML())
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	was, err := template.Load(p.vm, old)
	if err != nil {
		return false, nil //nolint:nilerr // there is nothing to compare with: it is written again
	}
	wanted := template.ImagesOf(p.resolved.Config)
	switch {
	case template.ImagesOf(was) == wanted:
		return false, systemdisk.Forget(p.vm)
	case systemdisk.Trying(p.vm):
		return false, p.resolve(was.Images)
	case systemdisk.Refuses(p.vm, wanted):
		removeImages(p.vm, RemoveOptions{}) // those that were refused
		return false, p.resolve(was.Images)
	case *p.resolved.Config.VMType != limayaml.QEMU || *was.VMType != limayaml.QEMU:
		return false, lima.FieldErrorf("images", "can't change: only the system disk of a VM of the type %s can be replaced", limayaml.QEMU)
	}
	return true, os.MkdirAll(systemdisk.NextDir(p.vm), 0o700)
}

// replacementStages are the stages that make a new system disk in a folder of its own, and then give it to the VM.
func (p *preparer) replacementStages() []stage {
	p.dir = systemdisk.NextDir(p.vm)
	p.storedOld = p.vm.StoredImages()
	return append(p.imageStages(), stage{event.Disk, "making a new system disk", nil, p.replaceDisk})
}

// useImage records that the VM uses a stored image.
func (p *preparer) useImage(name string) error {
	p.stored = append(p.stored, name)
	return p.vm.UseImage(name)
}

// replaceDisk makes the new system disk of the images in p.dir, and gives it to the VM.
func (p *preparer) replaceDisk(ctx context.Context) error {
	base := filepath.Join(p.dir, filenames.BaseDisk)
	format, size, err := image.Inspect(base)
	if err != nil {
		return lima.FieldErrorf("images", "the new image can't be read: %w", err)
	}
	config := p.resolved.Config
	if err := template.CheckDiskFits(*config.Disk, size); err != nil {
		return err
	}
	want, err := units.RAMInBytes(*config.Disk)
	if err != nil {
		return lima.FieldError("disk", err)
	}
	disk := filepath.Join(p.dir, filenames.DiffDisk)
	// The image has its final name only later, so qemu-img must not look for it now (-u).
	out, err := exec.CommandContext(ctx, "qemu-img", "create", "-q", "-f", "qcow2", "-u", "-F", format, "-b", filepath.Join(p.vm.Dir(), filenames.BaseDisk),
		disk, strconv.FormatInt(template.DiskSize(want), 10)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("make the new system disk: %w: %s", err, strings.TrimSpace(string(out)))
	}
	err = seal(disk)
	if err == nil {
		err = atomicfile.Write(filepath.Join(p.dir, filenames.LimaYAML), p.resolved.Text)
	}
	if err == nil {
		err = atomicfile.Write(filepath.Join(p.dir, filepath.Base(p.vm.Job())), p.job)
	}
	if err == nil {
		err = systemdisk.Switch(p.vm, template.ImagesOf(config), p.stored, p.storedOld)
	}
	return err
}
