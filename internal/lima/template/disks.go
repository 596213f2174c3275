package template

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lima-vm/go-qcow2reader"
	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/store/filenames"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// checkDisks reports whether the additional disks are there, and whether the guest would format one that
// holds data: it does so with each that lacks the label lima-NAME, unless the template forbids it.
func checkDisks(vm layout.VM, y *limayaml.LimaYAML) error {
	for i, d := range y.AdditionalDisks {
		field := fmt.Sprintf("additionalDisks[%d]", i)
		path := filepath.Join(vm.Home, filenames.DisksDir, d.Name, filenames.DataDisk)
		begin, err := readBegin(path)
		if errors.Is(err, fs.ErrNotExist) {
			return lima.FieldErrorf(field+".name", "there is no disk %q: make it with: mkdir -p %s && qemu-img create -f qcow2 %s 20G", d.Name, filepath.Dir(path), path)
		}
		if d.Format != nil && !*d.Format {
			continue
		}
		if err != nil {
			return lima.FieldErrorf(field+".format", "must be false: the disk %s can't be read here, and the guest would format it: %w", path, err)
		}
		if len(bytes.Trim(begin, "\x00")) == 0 || hasLabel(begin, "lima-"+d.Name) {
			continue
		}
		return lima.FieldErrorf(field+".format", "must be false, or the guest formats the disk %s, which holds data and lacks the label lima-%s", path, d.Name)
	}
	return nil
}

// diskBegin is how much of a disk has to be read to know whether it is blank: partition tables, and the label of a
// file system in a first partition where sfdisk puts it.
const diskBegin = 2 << 20

// readBegin reads the beginning of a disk.
func readBegin(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	image, err := qcow2reader.Open(f)
	if err != nil {
		return nil, err
	}
	defer image.Close()
	b := make([]byte, min(diskBegin, max(0, image.Size())))
	if _, err := image.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b, nil
}

// hasLabel reports whether a file system at the beginning of a disk has a label. ext4 cuts it off after 16 bytes.
func hasLabel(begin []byte, label string) bool {
	field := []byte(label + "\x00")
	return bytes.Contains(begin, field[:min(16, len(field))])
}
