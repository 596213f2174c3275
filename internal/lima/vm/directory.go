package vm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/lima-vm/lima/pkg/cidata"
	"github.com/lima-vm/lima/pkg/driverutil"
	"github.com/lima-vm/lima/pkg/store"
	"github.com/lima-vm/lima/pkg/store/filenames"
	"github.com/lima-vm/lima/pkg/version"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/lima/template"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// claimDir makes sure that the VM's directory may be written: it is new or empty, was left by an interrupted
// creation or removal, or holds the VM's own disk. It leaves anything else as it is.
func (p *preparer) claimDir() error {
	if layout.Exists(p.vm.Prepared()) && !layout.Exists(p.vm.Removing()) {
		return p.markPrepared()
	}
	if err := clearUnfinished(p.vm, RemoveOptions{KeepData: true, KeepImages: true}); err != nil {
		return err
	}
	names, err := p.vm.Contents()
	switch {
	case err != nil:
		return err
	case len(names) > 0:
		return p.reclaimDir(names)
	}
	if err := os.MkdirAll(p.vm.Dir(), 0o700); err != nil {
		return err
	}
	return os.WriteFile(p.vm.Making(), nil, 0o600)
}

// clearUnfinished removes what an interrupted creation or removal has left.
func clearUnfinished(vm layout.VM, o RemoveOptions) error {
	if !vm.Unfinished() {
		return nil
	}
	return removeDir(vm, o)
}

// removeDir removes the VM's directory, its data disk and the images that no other VM uses. It creates a marker file first and
// removes that last, so that the next preparation or removal completes an interrupted one.
func removeDir(vm layout.VM, o RemoveOptions) error {
	if os.Rename(vm.Prepared(), vm.Removing()) != nil {
		_ = os.WriteFile(vm.Removing(), nil, 0o600) // only an interrupted removal needs it
	}
	if err := removeData(vm, o); err != nil {
		return err
	}
	names, err := vm.Contents()
	if err != nil {
		return err
	}
	for _, name := range names {
		if path := filepath.Join(vm.Dir(), name); path != vm.Removing() {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	removeImages(vm, o)
	if err := os.RemoveAll(vm.Removing()); err != nil { // Dir may be a link, whose target stays
		return err
	}
	return os.RemoveAll(vm.Dir())
}

// reclaimDir accepts a directory that lacks RDD's marker file but holds a disk made from the same template. That
// disk is complete: an incomplete one has a marker file of its own.
func (p *preparer) reclaimDir(names []string) error {
	refuse := func(why string) error {
		return lima.Permanentf("the folder %s holds %s, and %s; nothing in it was changed. Move it away to keep it; if what is in it may be lost, `rdd vm reset %s` makes a new disk in its place",
			p.vm.Dir(), nameSome(names), why, p.vm.Name)
	}
	old, err := os.ReadFile(p.vm.LimaYAML())
	if err != nil || !layout.Exists(p.vm.Disk()) {
		return refuse("not a whole VM of RDD's")
	}
	if _, err := template.Load(p.vm, old); err != nil {
		return refuse("a configuration that can't be read")
	}
	if err := template.CheckChange(p.vm, old, p.resolved.Config); err != nil {
		return refuse(fmt.Sprintf("its disk was made by another template (%v)", err))
	}
	return p.markPrepared()
}

// nameSome lists file names, but not too many.
func nameSome(names []string) string {
	const most = 5
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// writeConfig writes the configuration of a VM that has none. Lima's own instance.Create does the same, but refuses a
// directory that exists.
func (p *preparer) writeConfig(ctx context.Context) (err error) {
	if err := atomicfile.Write(p.vm.LimaYAML(), p.resolved.Text); err != nil {
		return err
	}
	if err := cidata.GenerateCloudConfig(p.vm.Dir(), p.vm.Name, p.resolved.Config); err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(p.vm.Dir(), filenames.LimaVersion), []byte(version.Version)); err != nil {
		return err
	}
	if p.inst, err = store.Inspect(p.vm.Name); err != nil {
		return err
	}
	return driverutil.CreateTargetDriverInstance(p.inst, 0).Register(ctx)
}

// removable returns an error if the directory is not a VM's: an unrelated folder of that name must stay.
func removable(vm layout.VM) error {
	names, err := vm.Contents()
	if err != nil {
		return err
	}
	if len(names) == 0 || vm.Made() || vm.Unfinished() {
		return nil
	}
	return lima.Permanentf("the folder %s holds %s and nothing of a VM, so it is not removed: move it away", vm.Dir(), nameSome(names))
}
