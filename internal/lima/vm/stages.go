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

// imageStages are the stages that fetch the first available image, with its kernel and initrd.
func (p *preparer) imageStages() []stage {
	var images, kernels, initrds []limayaml.File
	for _, img := range p.resolved.Config.Images {
		images = append(images, img.File)
		if img.Kernel != nil && p.fits(img.File) {
			kernels = append(kernels, img.Kernel.File)
		}
		if img.Initrd != nil && p.fits(img.File) {
			initrds = append(initrds, *img.Initrd)
		}
	}
	fetched := -1 // the index of the image
	stages := []stage{{event.Image, "fetching the image", p.operations(images, true), func(ctx context.Context) (err error) {
		fetched, err = p.fetchFirst(ctx, "images", filenames.BaseDisk, images, true)
		return err
	}}}
	if len(kernels) > 0 {
		stages = append(stages, stage{event.Kernel, "fetching the kernel", image.OperationsFor(kernels, true), func(ctx context.Context) error {
			k := p.resolved.Config.Images[fetched].Kernel
			if k == nil {
				return nil
			}
			if err := p.fetch(ctx, fmt.Sprintf("images[%d].kernel", fetched), filenames.Kernel, k.File, true); err != nil || k.Cmdline == "" {
				return err
			}
			return os.WriteFile(filepath.Join(p.dir, filenames.KernelCmdline), []byte(k.Cmdline), 0o600)
		}})
	}
	if len(initrds) > 0 {
		stages = append(stages, stage{event.Initrd, "fetching the initrd", image.OperationsFor(initrds, true), func(ctx context.Context) error {
			initrd := p.resolved.Config.Images[fetched].Initrd
			if initrd == nil {
				return nil
			}
			return p.fetch(ctx, fmt.Sprintf("images[%d].initrd", fetched), filenames.Initrd, *initrd, false)
		}})
	}
	return stages
}

// containerdStage fills Lima's cache with the archive that the hostagent will look for there.
func (p *preparer) containerdStage() stage {
	archives := p.resolved.Config.Containerd.Archives
	return stage{event.Containerd, "downloading containerd", p.operations(archives, false), func(ctx context.Context) error {
		_, err := p.fetchFirst(ctx, "containerd.archives", "", archives, false)
		return err
	}}
}

// fits reports whether a file is for the VM's architecture.
func (p *preparer) fits(f limayaml.File) bool { return f.Arch == *p.resolved.Config.Arch }

// operations lists the operations that fetching the first available file may take.
func (p *preparer) operations(files []limayaml.File, copied bool) []image.Operation {
	return image.OperationsFor(slices.DeleteFunc(slices.Clone(files), func(f limayaml.File) bool { return !p.fits(f) }), copied)
}

// fetchFirst fetches the first available file of a list in the template that fits, and returns its index. The error is
// a *PermanentError only if waiting helps for none of them.
func (p *preparer) fetchFirst(ctx context.Context, field, name string, files []limayaml.File, decompress bool) (int, error) {
	var permanent, temporary []error
	for i, f := range files {
		if !p.fits(f) {
			continue
		}
		err := p.fetch(ctx, fmt.Sprintf("%s[%d]", field, i), name, f, decompress)
		if err == nil || ctx.Err() != nil {
			return i, err
		}
		if _, ok := errors.AsType[*lima.PermanentError](err); ok {
			permanent = append(permanent, err)
		} else {
			temporary = append(temporary, err)
		}
		if name != "" {
			_ = os.Remove(filepath.Join(p.dir, name))
		}
	}
	switch {
	case len(permanent) == 0:
		return 0, errors.Join(temporary...)
	case len(temporary) > 0:
		return 0, fmt.Errorf("%w\n%v", errors.Join(temporary...), errors.Join(permanent...)) //nolint:errorlint // not permanent as a whole
	case len(permanent) == 1:
		return 0, permanent[0]
	}
	return 0, lima.Permanent(errors.Join(permanent...))
}

// fetch fetches one file into the VM's directory as name, and reports its operations as steps of the current stage.
// An empty name fills the cache only.
func (p *preparer) fetch(ctx context.Context, field, name string, f limayaml.File, decompress bool) error {
	dest := ""
	if name != "" {
		dest = filepath.Join(p.dir, name)
	}
	begin := func(op image.Operation, location string) {
		p.report(max(0, slices.Index(p.stage.operations, op)), string(op)+" "+location)
	}
	fetcher := &image.Fetcher{Home: p.vm.Home, Use: p.useImage, Begin: begin, Report: p.progress.bytes}
	return fetcher.Fetch(ctx, field, dest, f, decompress)
}
