package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/store/filenames"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/lima/image"
	"rancherdesktop.io/rdd/internal/machine/event"
)

// filesFor filters files by architecture.
func filesFor(arch limayaml.Arch, files []limayaml.File) (fit []limayaml.File) {
	for _, f := range files {
		if f.Arch == arch {
			fit = append(fit, f)
		}
	}
	return fit
}

// imageStages are the stages that fetch the first available image, with its kernel and initrd.
func (p *preparer) imageStages(y *limayaml.LimaYAML) []stage {
	chosen := -1 // the image that was downloaded
	var images, kernels, initrds []limayaml.File
	for _, img := range y.Images {
		if img.Arch != *y.Arch {
			continue
		}
		images = append(images, img.File)
		if img.Kernel != nil {
			kernels = append(kernels, img.Kernel.File)
		}
		if img.Initrd != nil {
			initrds = append(initrds, *img.Initrd)
		}
	}
	stages := []stage{{event.Image, "fetching the image", image.OperationsFor(images, true), func(ctx context.Context) (err error) {
		chosen, err = p.fetchFirst(ctx)
		return err
	}}}
	if len(kernels) > 0 {
		stages = append(stages, stage{event.Kernel, "fetching the kernel", image.OperationsFor(kernels, true), func(ctx context.Context) error {
			return p.fetchKernel(ctx, chosen, p.inst.Config.Images[chosen].Kernel)
		}})
	}
	if len(initrds) > 0 {
		stages = append(stages, stage{event.Initrd, "fetching the initrd", image.OperationsFor(initrds, true), func(ctx context.Context) error {
			initrd := p.inst.Config.Images[chosen].Initrd
			if initrd == nil {
				return nil
			}
			return p.fetch(ctx, fmt.Sprintf("images[%d].initrd", chosen), filenames.Initrd, *initrd, false)
		}})
	}
	return stages
}

// fetchFirst fetches the first available image for the architecture.
func (p *preparer) fetchFirst(ctx context.Context) (int, error) {
	var errs []error
	permanent := true
	for i, img := range p.inst.Config.Images {
		if img.Arch != *p.inst.Config.Arch {
			continue
		}
		err := p.fetch(ctx, fmt.Sprintf("images[%d]", i), filenames.BaseDisk, img.File, true)
		if err == nil || ctx.Err() != nil {
			return i, err
		}
		if _, ok := errors.AsType[*lima.PermanentError](err); !ok {
			permanent = false
		}
		errs = append(errs, err)
		_ = os.Remove(filepath.Join(p.vm.Dir(), filenames.BaseDisk))
	}
	if err := errors.Join(errs...); len(errs) == 1 || !permanent {
		return 0, err
	}
	return 0, lima.Permanent(errors.Join(errs...))
}

func (p *preparer) fetchKernel(ctx context.Context, i int, k *limayaml.Kernel) error {
	if k == nil {
		return nil
	}
	if err := p.fetch(ctx, fmt.Sprintf("images[%d].kernel", i), filenames.Kernel, k.File, true); err != nil || k.Cmdline == "" {
		return err
	}
	return os.WriteFile(filepath.Join(p.vm.Dir(), filenames.KernelCmdline), []byte(k.Cmdline), 0o600)
}

// fetchContainerd fills Lima's cache with the archive that the hostagent will look for there.
func (p *preparer) fetchContainerd(ctx context.Context) error {
	y := p.inst.Config
	var errs []error
	for i, f := range y.Containerd.Archives {
		if f.Arch != *y.Arch {
			continue
		}
		err := p.fetch(ctx, fmt.Sprintf("containerd.archives[%d]", i), "", f, false)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// fetch fetches one file into the VM's directory as name, and reports its operations as steps of the stage
// under way. An empty name fills the cache only.
func (p *preparer) fetch(ctx context.Context, field, name string, f limayaml.File, decompress bool) error {
	dest := ""
	if name != "" {
		dest = filepath.Join(p.vm.Dir(), name)
	}
	begin := func(op image.Operation, location string) {
		p.report(max(0, slices.Index(p.stage.operations, op)), string(op)+" "+location)
	}
	fetcher := &image.Fetcher{Home: p.vm.Home, Begin: begin, Report: p.progress.bytes}
	return fetcher.Fetch(ctx, field, dest, f, decompress)
}
