// Package vm makes, updates and removes what a VM has on this host: its disk, its configuration and its
// directory. rdd-lima's commands call it.
package vm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lima-vm/lima/pkg/downloader"
	"github.com/lima-vm/lima/pkg/driverutil"
	"github.com/lima-vm/lima/pkg/imgutil/proxyimgutil"
	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/store"
	"github.com/lima-vm/lima/pkg/store/filenames"
	"github.com/lima-vm/lima/pkg/version"
	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/lima/hostpath"
	"rancherdesktop.io/rdd/internal/lima/image"
	"rancherdesktop.io/rdd/internal/lima/qemu"
	"rancherdesktop.io/rdd/internal/lima/template"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// PrepareOptions say what to prepare.
type PrepareOptions struct {
	VM       layout.VM
	Template []byte
	Params   map[string]string
	DataDisk int64 // its size in bytes; 0: none is asked for

	// ReplaceSystemDisk says that the system disk follows the images of the template: see package systemdisk.
	ReplaceSystemDisk bool

	Share  string
	AsRoot bool
}

// Prepare creates or updates the VM's configuration and disk. It may be called again, and completes what an
// interrupted call has left. It reports steps to w, at least one event a second, so that this process notices
// when the reader is gone.
func Prepare(ctx context.Context, o PrepareOptions, w *event.Writer) error {
	if err := os.MkdirAll(o.VM.Run(), 0o700); err != nil {
		return fmt.Errorf("make the directory of VM %q: %w: is its parent writable?", o.VM.Name, err)
	}
	lock, err := o.VM.LockDisk(ctx)
	if err != nil {
		return diag.Mark(diag.VMBusy, fmt.Errorf("VM %q is in use (its hostagent runs, or it is being prepared or removed): %w", o.VM.Name, err))
	}
	defer func() { _ = lock.Release() }()
	p := &preparer{o: o, vm: o.VM, dir: o.VM.Dir(), progress: newProgress(w)}
	defer p.progress.stop()
	downloader.HideProgress = true
	logrus.SetLevel(logrus.WarnLevel)
	err = p.run(ctx)
	if err != nil {
		err = image.ExplainSpace(err, o.VM.Home) // before what has filled the disk is removed
		err = errors.Join(err, clearUnfinished(p.vm, RemoveOptions{KeepData: true}))
	}
	return err
}

// preparer is one run of Prepare.
type preparer struct {
	o        PrepareOptions
	vm       layout.VM
	progress *progress
	job      []byte             // the template and params that it was called with, for the VM's directory
	resolved *template.Resolved // the template as the VM gets it
	inst     *store.Instance    // the VM as Lima sees it; set by configure
	dir      string             // where the files of the system disk are made

	stored, storedOld []string // the stored images that the system disk and the one before it use

	stage        stage // the current one
	first, steps int   // the number of its first step, and how many steps all stages have
}

// stage is a part of the work that is reported.
type stage struct {
	phase, message string
	operations     []image.Operation // one step each; a stage without any is one step
	run            func(context.Context) error
}

func (s stage) steps() int { return max(1, len(s.operations)) }

func (p *preparer) run(ctx context.Context) error {
	if err := p.check(); err != nil {
		return err
	}
	// Lima takes a VM with the PID files of dead processes for broken or running.
	leftover := func(m string) { p.progress.begin(event.Event{Phase: event.Leftover, Message: m}) }
	if _, err := qemu.EndOrphan(ctx, p.vm, leftover); err != nil {
		return err
	}
	if err := p.claimDir(); err != nil {
		return err
	}
	replace, err := p.planReplacement()
	if err != nil {
		return err
	}
	stages := []stage{{event.Check, "checking programs and configuration", nil, p.configure}}
	switch {
	case replace:
		stages = append(p.replacementStages(), stages...)
	case !layout.Exists(p.vm.Prepared()):
		stages = append(stages, p.imageStages()...)
	}
	stages = append(stages, stage{event.Disk, "making the disk", nil, p.makeDisk})
	if c := p.resolved.Config.Containerd; *c.System || *c.User {
		stages = append(stages, p.containerdStage())
	}
	for _, s := range stages {
		p.steps += s.steps()
	}
	p.first = 1
	for _, s := range stages {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		p.stage = s
		p.report(0, s.message)
		if err := s.run(ctx); err != nil {
			return err
		}
		p.first += s.steps()
	}
	return nil
}

// report reports that a step of the current stage begins.
func (p *preparer) report(step int, message string) {
	p.progress.begin(event.Event{Phase: p.stage.phase, Step: int32(p.first + step), Steps: int32(p.steps), Message: message})
}

// check checks the template and the programs that the VM needs, before anything is written.
func (p *preparer) check() (err error) {
	if p.job, err = (event.Job{Template: string(p.o.Template), Params: p.o.Params, DataDisk: p.o.DataDisk, ReplaceSystemDisk: p.o.ReplaceSystemDisk}).Bytes(); err != nil {
		return err
	}
	if err := p.resolve(nil); err != nil {
		return err
	}
	if p.hasData() && *p.resolved.Config.VMType != limayaml.QEMU {
		return lima.FieldErrorf("vmType", "is %s: a data disk (spec.dataDisk) needs a VM of the type %s", *p.resolved.Config.VMType, limayaml.QEMU)
	}
	if err := lima.CheckPrograms(p.resolved.Config); err != nil {
		return err
	}
	if lima.NeedsGuestAgent(p.resolved.Config) {
		_, err = lima.GuestAgent(p.o.Share, p.resolved.Config)
	}
	return err
}

// resolve completes the template, with other images if there are any.
func (p *preparer) resolve(images []limayaml.Image) (err error) {
	p.resolved, err = template.Resolve(p.vm, p.o.Template, p.o.Params, template.Options{AsRoot: p.o.AsRoot, DataDisk: p.hasData(), Images: images})
	return err
}

// configure writes Lima's configuration of the VM.
func (p *preparer) configure(ctx context.Context) error {
	old, err := os.ReadFile(p.vm.LimaYAML())
	switch {
	case errors.Is(err, os.ErrNotExist):
		err = p.writeConfig(ctx)
	case err == nil:
		err = p.updateConfig(old)
	}
	if err != nil {
		return err
	}
	if len(p.inst.Errors) > 0 {
		return template.LimaError(errors.Join(p.inst.Errors...))
	}
	if err := hostpath.Keep(p.vm, p.resolved.HostPaths); err != nil {
		return err
	}
	if b, err := atomicfile.Read(p.vm.Job()); err != nil || !bytes.Equal(b, p.job) {
		if err := atomicfile.Write(p.vm.Job(), p.job); err != nil {
			return err
		}
	}
	return ensureUserKey(p.vm.Home)
}

// updateConfig brings the configuration of an existing VM up to date.
func (p *preparer) updateConfig(old []byte) (err error) {
	check := template.CheckChange
	if p.o.ReplaceSystemDisk {
		check = template.CheckMove
	}
	if err := check(p.vm, old, p.resolved.Config); err != nil {
		return err
	}
	if !bytes.Equal(old, p.resolved.Text) {
		if err := atomicfile.Write(p.vm.LimaYAML(), p.resolved.Text); err != nil {
			return err
		}
	}
	p.inst, err = store.Inspect(p.vm.Name)
	return err
}

// prepared is written to the VM's directory when its disk is complete.
type prepared struct {
	Lima  string `json:"lima"`
	Image string `json:"image"` // a hash of the configuration's images; no program reads it
}

// makeDisk makes the disk, or grows it.
func (p *preparer) makeDisk(ctx context.Context) error {
	d := driverutil.CreateTargetDriverInstance(p.inst, 0)
	if err := d.Validate(); err != nil {
		return lima.Permanent(err)
	}
	if err := d.Initialize(ctx); err != nil {
		return err
	}
	base := filepath.Join(p.vm.Dir(), filenames.BaseDisk)
	if size, ok := image.VirtualSize(base); ok {
		if err := template.CheckDiskFits(*p.inst.Config.Disk, size); err != nil {
			return err
		}
	}
	if err := d.CreateDisk(ctx); err != nil {
		return err
	}
	if err := growDisk(p.vm.Disk(), p.inst.Disk, "disk"); err != nil {
		return err
	}
	if err := p.makeDataDisk(ctx); err != nil {
		return err
	}
	return p.markPrepared()
}

// growDisk grows a disk to the size that a field asks for. It does nothing for a VM without a disk.
func growDisk(path string, want int64, field string) error {
	have, ok := image.VirtualSize(path)
	want = template.DiskSize(want)
	switch {
	case !ok || want == 0 || have == want:
		return nil
	case have > want:
		return lima.FieldErrorf(field, "the VM's disk has %s and can't shrink: set %s to at least that", template.FormatSize(have), field)
	}
	return proxyimgutil.NewDiskUtil().ResizeDisk(path, want)
}

// markPrepared records that the disk is complete, before a guest can write to it.
func (p *preparer) markPrepared() error {
	if !layout.Exists(p.vm.Prepared()) {
		sum := sha256.Sum256(fmt.Append(nil, p.resolved.Config.Images))
		if err := atomicfile.WriteJSON(p.vm.Prepared(), prepared{version.Version, hex.EncodeToString(sum[:])}); err != nil {
			return err
		}
	}
	if err := os.Remove(p.vm.Making()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	// The names of the files survive a power failure once the directory is synced; not every system can do that.
	d, err := os.Open(p.vm.Dir())
	if err != nil {
		return err
	}
	defer d.Close()
	_ = d.Sync() // Windows refuses it for a directory
	return nil
}
