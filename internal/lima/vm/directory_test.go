//go:build unix

package vm

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/lima/limatest"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// written is a VM whose guest has run and written to its disk, and the template it was made by.
func written(t *testing.T) (vm layout.VM, template string, disk []byte) {
	t.Helper()
	limatest.NeedsVMPrograms(t)
	vm = limatest.NewVM(t)
	template = fmt.Sprintf("images: [{location: %s}]\ndisk: 32MiB\n", limatest.WriteImage(t))
	if _, err := prepareVM(t.Context(), vm, template); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(vm.Dir(), "diffdisk"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("what the user has written"); err != nil {
		t.Fatal(err)
	}
	limatest.WriteFile(t, filepath.Join(vm.Dir(), "cidata.iso"), "the guest has booted")
	if disk, err = os.ReadFile(f.Name()); errors.Join(err, f.Close()) != nil {
		t.Fatal(err)
	}
	return vm, template, disk
}

func unlink(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDiskOfAVMStaysThoughASmallFileBesideItIsGone(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, vm layout.VM){
		"rdd.prepared":            func(t *testing.T, vm layout.VM) { unlink(t, vm.Prepared()) },
		"lima.yaml":               func(t *testing.T, vm layout.VM) { unlink(t, filepath.Join(vm.Dir(), "lima.yaml")) },
		"lima-version":            func(t *testing.T, vm layout.VM) { unlink(t, filepath.Join(vm.Dir(), "lima-version")) },
		"a mark that was left":    func(t *testing.T, vm layout.VM) { limatest.WriteFile(t, vm.Making(), "") },
		"the wrong mark is there": func(t *testing.T, vm layout.VM) { unlink(t, vm.Prepared()); limatest.WriteFile(t, vm.Making(), "") },
	} {
		t.Run(name, func(t *testing.T) {
			vm, template, disk := written(t)
			spoil(t, vm)
			if _, err := prepareVM(t.Context(), vm, template); err != nil {
				t.Fatal(err)
			}
			if now, err := os.ReadFile(filepath.Join(vm.Dir(), "diffdisk")); err != nil || !bytes.Equal(now, disk) {
				t.Error("the disk is another one now", err)
			}
			if !layout.Exists(vm.Prepared()) || layout.Exists(vm.Making()) || !layout.Exists(filepath.Join(vm.Dir(), "lima.yaml")) {
				t.Error("what was missing was not made again")
			}
		})
	}
}

func TestFolderThatIsNoVMOfThisTemplateIsNamedAndStays(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(t *testing.T, vm layout.VM, template string) string // the template of the next start
		says  string
	}{
		"marks and configuration are gone": {func(t *testing.T, vm layout.VM, template string) string {
			unlink(t, vm.Prepared(), filepath.Join(vm.Dir(), "lima.yaml"))
			return template
		}, "not a whole VM"},
		"made by another template": {func(t *testing.T, vm layout.VM, _ string) string {
			unlink(t, vm.Prepared())
			return fmt.Sprintf("images: [{location: %s}]\ndisk: 32MiB\n", limatest.WriteImage(t))
		}, "another template (images: "},
		"its configuration is damaged": {func(t *testing.T, vm layout.VM, template string) string {
			unlink(t, vm.Prepared())
			limatest.WriteFile(t, filepath.Join(vm.Dir(), "lima.yaml"), "images: [")
			return template
		}, "a configuration that can't be read"},
	} {
		t.Run(name, func(t *testing.T) {
			vm, template, disk := written(t)
			_, err := prepareVM(t.Context(), vm, tc.spoil(t, vm, template))
			if p, ok := errors.AsType[*lima.PermanentError](err); !ok || !strings.Contains(p.Error(), tc.says) || !strings.Contains(p.Error(), "the folder "+vm.Dir()+" holds ") {
				t.Error(err)
			}
			if now, err := os.ReadFile(filepath.Join(vm.Dir(), "diffdisk")); err != nil || !bytes.Equal(now, disk) {
				t.Error("the disk is another one now", err)
			}
		})
	}
}

func TestStrayFolderOfTheVMsNameIsLeftAlone(t *testing.T) {
	limatest.NeedsVMPrograms(t)
	vm := limatest.NewVM(t)
	diary := filepath.Join(vm.Dir(), "mine", "diary.txt")
	limatest.WriteFile(t, diary, "dear diary")
	_, err := prepareVM(t.Context(), vm, fmt.Sprintf("images: [{location: %s}]\n", limatest.WriteImage(t)))
	if p, ok := errors.AsType[*lima.PermanentError](err); !ok || !strings.Contains(p.Error(), vm.Dir()+" holds mine") {
		t.Error(err)
	}
	if err := Remove(t.Context(), vm, RemoveOptions{}); err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Error(err)
	}
	if b, err := os.ReadFile(diary); err != nil || string(b) != "dear diary" {
		t.Error("somebody's file is gone:", err)
	}
	if err := os.RemoveAll(vm.Dir()); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(vm.Dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := prepareVM(t.Context(), vm, fmt.Sprintf("images: [{location: %s}]\n", limatest.WriteImage(t))); err != nil {
		t.Error("an empty folder is in the way:", err)
	}
}

func TestRemovalThatWasCutShortIsFinished(t *testing.T) {
	vm, template, disk := written(t)
	if err := os.Rename(vm.Prepared(), vm.Removing()); err != nil { // a kill right after the first step
		t.Fatal(err)
	}
	if !vm.Unfinished() {
		t.Error("it is taken for whole")
	}
	if _, err := prepareVM(t.Context(), vm, template); err != nil {
		t.Fatal(err)
	}
	if now, err := os.ReadFile(filepath.Join(vm.Dir(), "diffdisk")); err != nil || bytes.Equal(now, disk) || layout.Exists(vm.Removing()) {
		t.Error("the old disk is there still", err)
	}
	if err := Remove(t.Context(), vm, RemoveOptions{}); err != nil || layout.Exists(vm.Dir()) {
		t.Error(err)
	}
}

func TestRemovalOfAVMBehindALinkLeavesAnEmptyFolder(t *testing.T) {
	vm := limatest.NewVM(t)
	target := t.TempDir()
	if err := os.MkdirAll(vm.Home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, vm.Dir()); err != nil {
		t.Fatal(err)
	}
	limatest.WriteFile(t, vm.Disk(), "")
	if err := Remove(t.Context(), vm, RemoveOptions{}); err != nil || layout.Exists(vm.Dir()) {
		t.Error(err)
	}
	if left, err := os.ReadDir(target); err != nil || len(left) > 0 {
		t.Error("these are left:", left, err)
	}
}

func TestRemovalGivesBackAllDisksThatTheVMHad(t *testing.T) {
	vm := limatest.NewVM(t)
	marks := limatest.MarkDisks(t, vm.Home, map[string]string{"dropped": vm.Dir(), "others": filepath.Join(vm.Home, "other")})
	if err := Remove(t.Context(), vm, RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	if layout.Exists(marks["dropped"]) || !layout.Exists(marks["others"]) {
		t.Error("it gives back other disks than its own")
	}
}
