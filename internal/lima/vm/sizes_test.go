//go:build unix

package vm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/lima/image"
	"rancherdesktop.io/rdd/internal/lima/limatest"
	"rancherdesktop.io/rdd/internal/lima/template"
)

func TestDiskOfAnySizeStartsAgain(t *testing.T) {
	limatest.NeedsVMPrograms(t)
	vm := limatest.NewVM(t)
	text := fmt.Sprintf("images: [{location: %s}]\ndisk: ", limatest.WriteImage(t))
	prepare := func(size string, want int64) {
		t.Helper()
		if err := template.ValidateChange(vm, []byte(text+size+"\n"), nil, true); err != nil {
			t.Errorf("%s: %v", size, err)
		}
		if _, err := prepareVM(t.Context(), vm, text+size+"\n"); err != nil {
			t.Errorf("%s: %v", size, err)
		}
		if has, _ := image.VirtualSize(filepath.Join(vm.Dir(), "diffdisk")); has != want {
			t.Errorf("%s: the disk has %d bytes, want %d", size, has, want)
		}
	}
	prepare("0.0301GiB", 32320000) // 32319628.9 bytes
	prepare("0.0301GiB", 32320000)
	prepare("33.3MB", template.DiskSize(34917580))
	prepare("33.3MB", template.DiskSize(34917580))
}

func TestSizeThatADiskNeverGotCanBeTakenBack(t *testing.T) {
	limatest.NeedsVMPrograms(t)
	vm := limatest.NewVM(t)
	text := fmt.Sprintf("images: [{location: %s}]\ndisk: ", limatest.WriteImage(t))
	if _, err := prepareVM(t.Context(), vm, text+"32MiB\n"); err != nil {
		t.Fatal(err)
	}
	// An edit that was written, and whose disk could not be made.
	config := filepath.Join(vm.Dir(), "lima.yaml")
	b, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	limatest.WriteFile(t, config, strings.Replace(string(b), "32MiB", "64MiB", 1))
	if err := template.ValidateChange(vm, []byte(text+"32MiB\n"), nil, true); err != nil {
		t.Error(err)
	}
	if _, err := prepareVM(t.Context(), vm, text+"32MiB\n"); err != nil {
		t.Error(err)
	}
	if p, ok := errors.AsType[*lima.PermanentError](template.ValidateChange(vm, []byte(text+"31MiB\n"), nil, true)); !ok || p.Field != "disk" || !strings.Contains(p.Error(), "32MiB") {
		t.Error(p)
	}
}
