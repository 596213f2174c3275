package lima

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/lima-vm/lima/pkg/downloader"
	"github.com/lima-vm/lima/pkg/fileutils"
	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/store/filenames"

	"rancherdesktop.io/rdd/internal/machine/event"
)

// imageStages are the downloads of the first image that can be had, with its kernel and initrd.
func (p *preparer) imageStages(y *limayaml.LimaYAML) []stage {
	chosen := -1 // the image that was downloaded
	var withKernel, withInitrd bool
	for _, image := range y.Images {
		fits := image.Arch == *y.Arch
		withKernel = withKernel || fits && image.Kernel != nil
		withInitrd = withInitrd || fits && image.Initrd != nil
	}
	stages := []stage{{event.Image, "fetching the image", func(ctx context.Context) (err error) {
		chosen, err = p.fetchFirst(ctx)
		return err
	}}}
	if withKernel {
		stages = append(stages, stage{event.Kernel, "fetching the kernel", func(ctx context.Context) error {
			return p.fetchKernel(ctx, chosen, p.inst.Config.Images[chosen].Kernel)
		}})
	}
	if withInitrd {
		stages = append(stages, stage{event.Initrd, "fetching the initrd", func(ctx context.Context) error {
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
		if _, ok := errors.AsType[*Problem](err); !ok {
			permanent = false
		}
		errs = append(errs, err)
		_ = os.Remove(filepath.Join(p.vm.Dir(), filenames.BaseDisk))
	}
	if err := errors.Join(errs...); len(errs) == 1 || !permanent {
		return 0, err
	}
	return 0, &Problem{Err: errors.Join(errs...)}
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
	p.progress.message("fetching " + f.Location)
	p.progress.bytes(0, 0)
	if downloader.IsLocal(f.Location) {
		return p.copyLocal(ctx, field, dest, f, decompress)
	}
	dir, err := cacheDir(f.Location)
	if err != nil {
		return err
	}
	d := &download{url: f.Location, want: f.Digest, dir: dir, idle: stallLimit, report: p.progress.bytes}
	path, err := d.get(ctx)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, errNoFile):
		return &Problem{field + ".location", fmt.Errorf("%s: %w", f.Location, err)}
	case errors.Is(err, errMismatch):
		return &Problem{field + ".digest", fmt.Errorf("%s: %w", f.Location, err)}
	case err != nil:
		return fmt.Errorf("%s: %w", f.Location, explainSpace(err, dir))
	}
	return p.copyLocal(ctx, field, dest, limayaml.File{Location: path, Arch: f.Arch}, decompress)
}

// copyLocal verifies and copies a file of this machine.
func (p *preparer) copyLocal(ctx context.Context, field, dest string, f limayaml.File, decompress bool) error {
	path, err := localPath(f.Location)
	if err != nil {
		return &Problem{field + ".location", err}
	}
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return &Problem{field + ".location", fmt.Errorf("there is no file %s", path)}
	}
	if err != nil {
		return err
	}
	if err := verifyDigest(ctx, path, f.Digest, p.progress.bytes); err != nil {
		if errors.Is(err, errMismatch) {
			err = &Problem{field + ".digest", fmt.Errorf("%s: %w", path, err)}
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
	done := make(chan struct{})
	defer close(done)
	go p.watchSize(dest, info.Size(), done)
	_, err = fileutils.DownloadFile(ctx, dest, f, decompress, filepath.Base(dest), f.Arch)
	return err
}

// watchSize reports the size of a file that grows until done.
func (p *preparer) watchSize(path string, total int64, done <-chan struct{}) {
	tick := time.NewTicker(quickest)
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
}
