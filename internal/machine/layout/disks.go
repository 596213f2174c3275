package layout

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/host"
	"rancherdesktop.io/rdd/internal/machine/event"
)

// ImagesDir holds the files that the VMs of a Lima home are made of, each once and by content.
func ImagesDir(home string) string { return filepath.Join(home, "_images") }

// Images holds the names of the files in ImagesDir that the VM was made of.
func (v VM) Images() string { return filepath.Join(v.Dir(), "rdd.images") }

// images is the content of Images.
type images struct {
	Images []string `json:"images"`
}

// UseImage records that the VM uses a file of ImagesDir.
func (v VM) UseImage(name string) error {
	used := v.StoredImages()
	if slices.Contains(used, name) {
		return nil
	}
	return v.SetImages(append(used, name))
}

// StoredImages lists the files of ImagesDir that the VM uses.
func (v VM) StoredImages() []string {
	var used images
	_ = atomicfile.ReadJSON(v.Images(), &used) // without it, the VM's own files are what counts
	return used.Images
}

// SetImages records which files of ImagesDir the VM uses.
func (v VM) SetImages(names []string) error { return atomicfile.WriteJSON(v.Images(), images{names}) }

// ImageUsed reports whether a VM of the Lima home that is not being removed uses the file of ImagesDir.
func ImageUsed(home, name string) (bool, error) {
	entries, err := os.ReadDir(home)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		v := VM{Home: home, Name: e.Name()}
		if e.Name()[0] == '_' || e.Name()[0] == '.' || Exists(v.Removing()) {
			continue
		}
		var used images
		err := atomicfile.ReadJSON(v.Images(), &used)
		if _, damaged := errors.AsType[*atomicfile.DamagedError](err); err != nil && !damaged && !isMissing(err) {
			return false, err
		}
		if slices.Contains(used.Images, name) {
			return true, nil
		}
	}
	return false, nil
}

// isMissing reports whether a file could not be opened because it, or its folder, isn't there.
func isMissing(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// DataDisk is the VM's disk for data, in qcow2. It is outside Dir, so that it stays when the system disk is made again.
func (v VM) DataDisk() string { return filepath.Join(v.Home, dataDir, v.Name+dataSuffix) }

const (
	dataDir    = "_data"
	dataSuffix = ".qcow2"
)

// dataDisks names the VMs that have a data disk.
func dataDisks(home string) (vms []string) {
	files, _ := os.ReadDir(filepath.Join(home, dataDir))
	for _, f := range files {
		if name, ok := strings.CutSuffix(f.Name(), dataSuffix); ok {
			vms = append(vms, name)
		}
	}
	return vms
}

// HasData reports whether there is a DataDisk.
func (v VM) HasData() bool { return Exists(v.DataDisk()) }

// DataDiskSize is the capacity of DataDisk. ok is false when there is none, or it can't be read.
func (v VM) DataDiskSize() (size int64, ok bool) {
	f, err := os.Open(v.DataDisk())
	if err != nil {
		return 0, false
	}
	defer f.Close()
	return Qcow2Size(f)
}

// Disks returns the VM's disks as the host sees them.
func (v VM) Disks() (all []event.DiskUse) {
	for _, d := range []struct{ name, path string }{{event.SystemDisk, v.Disk()}, {event.DataDisk, v.DataDisk()}} {
		if allocated, size := DiskUsage(d.path); size > 0 {
			all = append(all, event.DiskUse{Name: d.name, Allocated: allocated, Maximum: size})
		}
	}
	return all
}

// DiskUsage returns the allocated bytes of a disk image and its capacity, 0 when there is none.
func DiskUsage(path string) (allocated, size int64) {
	file, err := os.Open(path)
	if err != nil {
		return 0, 0
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, 0
	}
	// go-qcow2reader, which Lima uses, also reads the L1 table and opens the backing file. That is too slow for a chart that is
	// updated each second.
	size, ok := Qcow2Size(file)
	if !ok {
		size = info.Size() // a raw image
	}
	return host.Allocated(info), size
}

// Qcow2Size reads the capacity of a disk from the header of a qcow2 file. Source: QEMU's docs/interop/qcow2.txt.
func Qcow2Size(r io.ReaderAt) (size int64, ok bool) {
	header := make([]byte, 32)
	if _, err := r.ReadAt(header, 0); err != nil || string(header[:4]) != "QFI\xfb" {
		return 0, false
	}
	size = int64(binary.BigEndian.Uint64(header[24:]))
	return size, size > 0
}
