//go:build unix

package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/lima/image"
	"rancherdesktop.io/rdd/internal/lima/limatest"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// withData prepares a VM with a data disk of that size.
func withData(ctx context.Context, vm layout.VM, template string, size int64) error {
	return Prepare(ctx, PrepareOptions{VM: vm, Template: []byte("plain: true\nfirmware: {legacyBIOS: true}\n" + template), DataDisk: size, AsRoot: true}, event.NewWriter(new(bytes.Buffer)))
}

func imageTemplate(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("images: [{location: %s}]\ndisk: 32MiB\n", limatest.WriteImage(t))
}

func TestDataDiskGrowsAndStaysThroughAReset(t *testing.T) {
	limatest.NeedsVMPrograms(t)
	vm, template := limatest.NewVM(t), imageTemplate(t)
	if err := withData(t.Context(), vm, template, 64*limatest.MiB); err != nil {
		t.Fatal(err)
	}
	has := func(want int64) {
		t.Helper()
		if size, ok := image.VirtualSize(vm.DataDisk()); !ok || size != want {
			t.Error("the data disk has", size)
		}
		if size, ok := vm.DataDiskSize(); !ok || size != want {
			t.Error("the data disk seems to have", size)
		}
	}
	has(64 * limatest.MiB)
	if info, err := os.Stat(vm.DataDisk()); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	before, _ := os.Stat(vm.DataDisk())
	if err := withData(t.Context(), vm, template, 128*limatest.MiB); err != nil {
		t.Fatal(err)
	}
	has(128 * limatest.MiB)
	err := withData(t.Context(), vm, template, 64*limatest.MiB)
	if p, ok := errors.AsType[*lima.PermanentError](err); !ok || p.Field != "spec.dataDisk.size" {
		t.Error("shrinking:", err)
	}
	if err := Remove(t.Context(), vm, RemoveOptions{KeepData: true, KeepImages: true}); err != nil || layout.Exists(vm.Dir()) {
		t.Fatal(err)
	}
	if err := withData(t.Context(), vm, template, 0); err != nil {
		t.Fatal(err)
	}
	has(128 * limatest.MiB)
	if after, err := os.Stat(vm.DataDisk()); err != nil || !os.SameFile(before, after) {
		t.Error("the data disk was made again", err)
	}
	if err := Remove(t.Context(), vm, RemoveOptions{}); err != nil || vm.HasData() {
		t.Error("the data disk is left", err)
	}
	if left, err := os.ReadDir(layout.ImagesDir(vm.Home)); err != nil || len(left) > 0 {
		t.Error("images are left:", left, err)
	}
}

// The VM was deleted, and a kill came before one of the steps.
func TestKilledRemovalLeavesNoDataForGood(t *testing.T) {
	limatest.NeedsVMPrograms(t)
	for name, kill := range map[string]func(vm layout.VM) error{
		"after the mark": func(vm layout.VM) error { return os.Rename(vm.Prepared(), vm.Removing()) },
		"after the data disk": func(vm layout.VM) error {
			return errors.Join(os.Rename(vm.Prepared(), vm.Removing()), os.Remove(vm.DataDisk()))
		},
		"after a reset":           func(vm layout.VM) error { return Remove(t.Context(), vm, RemoveOptions{KeepData: true}) },
		"while one was made":      func(vm layout.VM) error { return os.Rename(vm.DataDisk(), vm.DataDisk()+newSuffix) },
		"with the mark only":      keepOnlyTheMark,
		"before the empty folder": func(vm layout.VM) error { return errors.Join(keepOnlyTheMark(vm), os.Remove(vm.Removing())) },
	} {
		t.Run(name, func(t *testing.T) {
			vm := limatest.NewVM(t)
			if err := withData(t.Context(), vm, imageTemplate(t), 64*limatest.MiB); err != nil {
				t.Fatal(err)
			}
			if err := kill(vm); err != nil {
				t.Fatal(err)
			}
			// The service completes what is marked, and then asks for the removal again.
			for _, o := range []RemoveOptions{{KeepData: true}, {}} {
				if err := Remove(t.Context(), vm, o); err != nil {
					t.Fatal(err)
				}
			}
			left, _ := filepath.Glob(filepath.Join(vm.Home, "_data", "*"))
			images, _ := filepath.Glob(filepath.Join(layout.ImagesDir(vm.Home), "*"))
			if layout.Exists(vm.Dir()) || len(left)+len(images) > 0 {
				t.Error("left:", left, images)
			}
		})
	}
}

func keepOnlyTheMark(vm layout.VM) error {
	err := os.Rename(vm.Prepared(), vm.Removing())
	names, e := vm.Contents()
	for _, name := range names {
		if path := filepath.Join(vm.Dir(), name); path != vm.Removing() {
			err = errors.Join(err, os.RemoveAll(path))
		}
	}
	return errors.Join(err, e)
}

func TestKilledPreparationMakesTheDataDiskAgain(t *testing.T) {
	limatest.NeedsVMPrograms(t)
	vm := limatest.NewVM(t)
	limatest.WriteFile(t, vm.DataDisk()+newSuffix, "half")
	if err := withData(t.Context(), vm, imageTemplate(t), 64*limatest.MiB); err != nil {
		t.Fatal(err)
	}
	if size, _ := vm.DataDiskSize(); size != 64*limatest.MiB || layout.Exists(vm.DataDisk()+newSuffix) {
		t.Error("the data disk has", size)
	}
}

// A reset of the only VM would copy 700 MB again.
func TestResetKeepsTheImage(t *testing.T) {
	limatest.NeedsVMPrograms(t)
	vm, template := limatest.NewVM(t), imageTemplate(t)
	if err := withData(t.Context(), vm, template, 0); err != nil {
		t.Fatal(err)
	}
	before, _ := os.Stat(filepath.Join(vm.Dir(), "basedisk"))
	if err := Remove(t.Context(), vm, RemoveOptions{KeepData: true, KeepImages: true}); err != nil {
		t.Fatal(err)
	}
	if err := withData(t.Context(), vm, template, 0); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(filepath.Join(vm.Dir(), "basedisk")); err != nil || !os.SameFile(before, after) {
		t.Error("the image was made again", err)
	}
}

// Versions before this one gave each VM a copy of the image.
func TestVMWithItsOwnImageStaysAsItIs(t *testing.T) {
	limatest.NeedsVMPrograms(t)
	vm, template := limatest.NewVM(t), imageTemplate(t)
	if err := withData(t.Context(), vm, template, 0); err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(vm.Dir(), "basedisk")
	content, err := os.ReadFile(base)
	if err := errors.Join(err, os.Remove(base), os.WriteFile(base, content, 0o600), os.Remove(vm.Images()), os.RemoveAll(layout.ImagesDir(vm.Home))); err != nil {
		t.Fatal(err)
	}
	before, _ := os.Stat(base)
	if err := withData(t.Context(), vm, template, 0); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(base); err != nil || !os.SameFile(before, after) || layout.Exists(layout.ImagesDir(vm.Home)) {
		t.Error("its image was made again", err)
	}
	if err := Remove(t.Context(), vm, RemoveOptions{}); err != nil || layout.Exists(vm.Dir()) {
		t.Error(err)
	}
}
