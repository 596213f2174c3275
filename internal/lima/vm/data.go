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

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/lima/template"
)

// newSuffix is that of a data disk that is being made.
const newSuffix = ".new"

// hasData reports whether the VM has a data disk, or is to have one.
func (p *preparer) hasData() bool { return p.o.DataDisk > 0 || p.vm.HasData() }

// makeDataDisk makes the data disk that is asked for, or grows it. A data disk that nobody asks for stays as it is.
func (p *preparer) makeDataDisk(ctx context.Context) error {
	if p.o.DataDisk == 0 {
		return nil
	}
	path := p.vm.DataDisk()
	if p.vm.HasData() {
		return growDisk(path, p.o.DataDisk, "spec.dataDisk.size")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	// It gets its name when it is whole: a kill leaves a file that the next preparation replaces.
	part := path + newSuffix
	size := strconv.FormatInt(template.DiskSize(p.o.DataDisk), 10)
	out, err := exec.CommandContext(ctx, "qemu-img", "create", "-q", "-f", "qcow2", part, size).CombinedOutput()
	if err == nil {
		err = seal(part)
	}
	if err == nil {
		err = atomicfile.Rename(part, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("make the data disk %s: %w: %s", path, err, strings.TrimSpace(string(out))), os.RemoveAll(part))
	}
	return nil
}

// seal makes a new file private, and waits until it is on the disk.
func seal(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(os.Chmod(path, 0o600), f.Sync(), f.Close())
}
