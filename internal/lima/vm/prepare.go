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
	Share    string
	AsRoot   bool
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
	p := &preparer{o: o, vm: o.VM, progress: newProgress(w)}
	defer p.progress.stop()
	downloader.HideProgress = true
	logrus.SetLevel(logrus.WarnLevel)
	err = p.run(ctx)
	if err != nil {
		err = image.ExplainSpace(err, o.VM.Home) // before what has filled the disk is removed
		err = errors.Join(err, clearUnfinished(p.vm))
	}
	return err
}

// preparer is one run of Prepare.
type preparer struct {
	o        PrepareOptions
	vm       layout.VM
	progress *progress
	inst     *store.Instance
	job      []byte          // what it was asked to make; o.Template is completed
	paths    []hostpath.Path // what it puts on the host

	stage        stage // under way
	first, steps int   // number of its first step, and of all
}

// stage is a part of the work that is reported.
type stage struct {
	phase, message string
	operations     []image.Operation // the steps that it is planned to take; none: one
	run            func(context.Context) error
}

func (s stage) steps() int { return max(1, len(s.operations)) }

func (p *preparer) run(ctx context.Context) error {
	y, err := p.check()
	if err != nil {
		return err
	}
	// The PID files of processes that are gone make Lima take the VM for broken, or for running.
	leftover := func(m string) { p.progress.begin(event.Event{Phase: event.Leftover, Message: m}) }
	if _, err := qemu.EndOrphan(ctx, p.vm, leftover); err != nil {
		return err
	}
	if err := p.claimDir(); err != nil {
		return err
	}
	configure := func(ctx context.Context) error { return p.configure(ctx, y) }
	stages := []stage{{event.Check, "checking programs and configuration", nil, configure}}
	if !layout.Exists(p.vm.Prepared()) {
		stages = append(stages, p.imageStages(y)...)
	}
	stages = append(stages, stage{event.Disk, "making the disk", nil, p.makeDisk})
	if *y.Containerd.System || *y.Containerd.User {
		passes := image.OperationsFor(filesFor(*y.Arch, y.Containerd.Archives), false)
		stages = append(stages, stage{event.Containerd, "downloading containerd", passes, p.fetchContainerd})
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
func (p *preparer) check() (*limayaml.LimaYAML, error) {
	var err error
	if p.job, err = (event.Job{Template: string(p.o.Template), Params: p.o.Params}).Bytes(); err != nil {
		return nil, err
	}
	resolved, err := template.Resolve(p.vm, p.o.Template, p.o.Params, p.o.AsRoot)
	if err != nil {
		return nil, err
	}
	p.o.Template, p.paths = resolved.Text, resolved.HostPaths
	y := resolved.Config
	if err := lima.CheckPrograms(y); err != nil {
		return nil, err
	}
	if lima.NeedsGuestAgent(y) {
		if _, err := lima.GuestAgent(p.o.Share, y); err != nil {
			return nil, err
		}
	}
	return y, nil
}

// configure writes Lima's configuration of the VM.
func (p *preparer) configure(ctx context.Context, y *limayaml.LimaYAML) error {
	path := filepath.Join(p.vm.Dir(), filenames.LimaYAML)
	old, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := p.writeConfig(ctx, y); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		if err := p.update(path, old); err != nil {
			return err
		}
	}
	if len(p.inst.Errors) > 0 {
		return template.LimaError(errors.Join(p.inst.Errors...))
	}
	if err := hostpath.Keep(p.vm, p.paths); err != nil {
		return err
	}
	if b, err := atomicfile.Read(p.vm.Job()); err != nil || !bytes.Equal(b, p.job) {
		if err := atomicfile.Write(p.vm.Job(), p.job); err != nil {
			return err
		}
	}
	return ensureUserKey(p.vm.Home)
}

// update brings the configuration of an existing VM up to date.
func (p *preparer) update(path string, old []byte) error {
	if err := template.CheckChange(p.vm, old, p.o.Template); err != nil {
		return err
	}
	if string(old) != string(p.o.Template) {
		if err := atomicfile.Write(path, p.o.Template); err != nil {
			return err
		}
	}
	var err error
	p.inst, err = store.Inspect(p.vm.Name)
	return err
}

// prepared is kept in the VM's directory once its disk is whole.
type prepared struct {
	Lima  string `json:"lima"`
	Image string `json:"image"` // hash of the configuration's images, for whoever looks
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
	if err := growDisk(filepath.Join(p.vm.Dir(), filenames.DiffDisk), p.inst.Disk); err != nil {
		return err
	}
	return p.markPrepared()
}

// markPrepared records that the disk is complete, before a guest can write to it.
func (p *preparer) markPrepared() error {
	if !layout.Exists(p.vm.Prepared()) {
		y, err := template.Load(p.vm, p.o.Template)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(fmt.Append(nil, y.Images))
		if err := atomicfile.WriteJSON(p.vm.Prepared(), prepared{version.Version, hex.EncodeToString(sum[:])}); err != nil {
			return err
		}
	}
	err := os.Remove(p.vm.Making())
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, syncDir(p.vm.Dir()))
}

// syncDir syncs a directory, so that the names in it survive a power failure; not every system can.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	_ = d.Sync() // Windows refuses it for a directory
	return nil
}
