package image

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/docker/go-units"
	"github.com/lima-vm/go-qcow2reader"

	"rancherdesktop.io/rdd/internal/host"
)

// VirtualSize returns the size of the disk in an image file. ok is false if the file doesn't show it, because it is
// missing or compressed.
func VirtualSize(path string) (size int64, ok bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	image, err := qcow2reader.Open(f)
	if err != nil {
		return 0, false
	}
	defer image.Close()
	size = image.Size()
	return size, size > 0
}

// Inspect returns the format of an image file, as QEMU calls it, and the size of the disk in it.
func Inspect(path string) (format string, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	image, err := qcow2reader.Open(f)
	if err != nil {
		return "", 0, err
	}
	defer image.Close()
	return string(image.Type()), image.Size(), nil
}

// A disk with less free space than spareSpace counts as full.
const spareSpace = 1 << 20

// checkSpace returns an error if need bytes don't fit below dir. Without it, each attempt would fill the disk for a
// file that can't become complete.
func checkSpace(dir string, need int64) error {
	disk, err := host.DiskOf(dir)
	if err != nil || need < 0 || disk.Free >= uint64(need) {
		return nil // if the free space is unknown, try
	}
	return fullDisk(dir, fmt.Sprintf("%s are needed, %s are free", units.BytesSize(float64(need)), units.BytesSize(float64(disk.Free))))
}

// ExplainSpace adds advice to an error that a full disk has caused. Programs such as qemu-img give their reason as
// text only, so the disk of dir is checked, too.
func ExplainSpace(err error, dir string) error {
	if err == nil || errors.Is(err, errFullDisk) {
		return err
	}
	disk, e := host.DiskOf(dir)
	if errors.Is(err, syscall.ENOSPC) || e == nil && disk.Free < spareSpace {
		return fmt.Errorf("%w: %w", fullDisk(dir, "it has "+units.BytesSize(float64(disk.Free))+" left"), err)
	}
	return err
}

var errFullDisk = errors.New("free some space, and the work continues by itself")

func fullDisk(dir, how string) error {
	return fmt.Errorf("the disk of this computer that holds %s is full (%s): %w", dir, how, errFullDisk)
}
