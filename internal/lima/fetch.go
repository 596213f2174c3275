package lima

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/lima-vm/lima/pkg/downloader"
	"github.com/lima-vm/lima/pkg/fileutils"
	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/store/filenames"

	"rancherdesktop.io/rdd/internal/machine/event"
)

// operation is one of the ways that a file's bytes go while it is fetched, in this order. Each is a step of its own.
type operation string

const (
	downloading operation = "downloading"
	verifying   operation = "checking the digest of"
	copying     operation = "copying"
)

// operationsFor are the passes that it may take to fetch one of the files.
func operationsFor(files []limayaml.File, copied bool) (all []operation) {
	if slices.ContainsFunc(files, func(f limayaml.File) bool { return !downloader.IsLocal(f.Location) }) {
		all = append(all, downloading)
	}
	if slices.ContainsFunc(files, func(f limayaml.File) bool { return f.Digest != "" }) {
		all = append(all, verifying)
	}
	if copied {
		all = append(all, copying)
	}
	return all
}

// filesFor are those for an architecture.
func filesFor(arch limayaml.Arch, files []limayaml.File) (fit []limayaml.File) {
	for _, f := range files {
		if f.Arch == arch {
			fit = append(fit, f)
		}
	}
	return fit
}

// imageStages are the downloads of the first image that can be had, with its kernel and initrd.
func (p *preparer) imageStages(y *limayaml.LimaYAML) []stage {
	chosen := -1 // the image that was downloaded
	var images, kernels, initrds []limayaml.File
	for _, image := range y.Images {
		if image.Arch != *y.Arch {
			continue
		}
		images = append(images, image.File)
		if image.Kernel != nil {
			kernels = append(kernels, image.Kernel.File)
		}
		if image.Initrd != nil {
			initrds = append(initrds, *image.Initrd)
		}
	}
	stages := []stage{{event.Image, "fetching the image", operationsFor(images, true), func(ctx context.Context) (err error) {
		chosen, err = p.fetchFirst(ctx)
		return err
	}}}
	if len(kernels) > 0 {
		stages = append(stages, stage{event.Kernel, "fetching the kernel", operationsFor(kernels, true), func(ctx context.Context) error {
			return p.fetchKernel(ctx, chosen, p.inst.Config.Images[chosen].Kernel)
		}})
	}
	if len(initrds) > 0 {
		stages = append(stages, stage{event.Initrd, "fetching the initrd", operationsFor(initrds, true), func(ctx context.Context) error {
			initrd := p.inst.Config.Images[chosen].Initrd
			if initrd == nil {
				return nil
			}
			return p.fetch(ctx, fmt.Sprintf("images[%d].initrd", chosen), filenames.Initrd, *initrd, false)
		}})
	}
	return stages
}

// fetchFirst fetches the first image for the architecture that can be had.
func (p *preparer) fetchFirst(ctx context.Context) (int, error) {
	var errs []error
	permanent := true
	for i, image := range p.inst.Config.Images {
		if image.Arch != *p.inst.Config.Arch {
			continue
		}
		err := p.fetch(ctx, fmt.Sprintf("images[%d]", i), filenames.BaseDisk, image.File, true)
		if err == nil || ctx.Err() != nil {
			return i, err
		}
		if _, ok := errors.AsType[*PermanentError](err); !ok {
			permanent = false
		}
		errs = append(errs, err)
		_ = os.Remove(filepath.Join(p.vm.Dir(), filenames.BaseDisk))
	}
	if err := errors.Join(errs...); len(errs) == 1 || !permanent {
		return 0, err
	}
	return 0, &PermanentError{Err: errors.Join(errs...)}
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

// fetch puts one file into the VM's directory as name, by way of Lima's cache when it is remote. An
// empty name fills the cache only. The digest, where there is one, is checked each time.
func (p *preparer) fetch(ctx context.Context, field, name string, f limayaml.File, decompress bool) error {
	dest := ""
	if name != "" {
		dest = filepath.Join(p.vm.Dir(), name)
	}
	begin := func(step operation) {
		p.report(max(0, slices.Index(p.stage.operations, step)), string(step)+" "+f.Location)
	}
	if downloader.IsLocal(f.Location) {
		return p.copyLocal(ctx, field, dest, f, decompress, begin)
	}
	dir, err := cacheDir(f.Location)
	if err != nil {
		return err
	}
	d := &download{url: f.Location, digest: f.Digest, dir: dir, stallTimeout: stallTimeout, begin: begin, report: p.progress.bytes}
	path, err := d.get(ctx)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, errNoFile):
		return &PermanentError{field + ".location", fmt.Errorf("%s: %w", f.Location, err)}
	case errors.Is(err, errMismatch):
		return &PermanentError{field + ".digest", fmt.Errorf("%s: %w", f.Location, err)}
	case err != nil:
		return fmt.Errorf("%s: %w", f.Location, explainSpace(err, dir))
	}
	return p.copyLocal(ctx, field, dest, limayaml.File{Location: path, Arch: f.Arch}, decompress, begin)
}

// copyLocal verifies and copies a file of this machine.
func (p *preparer) copyLocal(ctx context.Context, field, dest string, f limayaml.File, decompress bool, begin func(operation)) error {
	path, err := localPath(f.Location)
	if err != nil {
		return &PermanentError{field + ".location", err}
	}
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return &PermanentError{field + ".location", fmt.Errorf("there is no file %s", path)}
	}
	if err != nil {
		return err
	}
	if f.Digest != "" {
		begin(verifying)
	}
	if err := verifyDigest(ctx, path, f.Digest, p.progress.bytes); err != nil {
		if errors.Is(err, errMismatch) {
			err = &PermanentError{field + ".digest", fmt.Errorf("%s: %w", path, err)}
		}
		return err
	}
	f.Digest = "" // verified
	if dest == "" {
		return nil
	}
	if err := checkSpace(p.vm.Home, info.Size()); err != nil {
		return err
	}
	begin(copying)
	stop := p.watchSize(dest, info.Size())
	_, err = fileutils.DownloadFile(ctx, dest, f, decompress, filepath.Base(dest), f.Arch)
	stop()
	if err == nil {
		p.progress.bytes(size(dest), size(dest))
	}
	return err
}

// watchSize reports the size of a file that grows, until stop is called.
func (p *preparer) watchSize(path string, total int64) (stop func()) {
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(minReportInterval)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				if info, err := os.Stat(path); err == nil {
					p.progress.bytes(info.Size(), max(total, info.Size()))
				}
			}
		}
	})
	return func() {
		close(done)
		watching.Wait()
	}
}
