package systemdisk

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"rancherdesktop.io/rdd/internal/lima/limatest"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// newVM returns a VM with an old disk that has an initrd, and with a new one that has none and is ready to be switched to.
func newVM(t *testing.T) layout.VM {
	vm := layout.VM{Home: t.TempDir(), Name: "rd"}
	for _, name := range files(vm) {
		if name != "kernel.cmdline" {
			limatest.WriteFile(t, filepath.Join(vm.Dir(), name), "old "+name)
		}
		if name != "initrd" {
			limatest.WriteFile(t, filepath.Join(NextDir(vm), name), "new "+name)
		}
	}
	if err := vm.SetImages([]string{"kernel", "old", "new"}); err != nil {
		t.Fatal(err)
	}
	return vm
}

func switchDisk(vm layout.VM) error {
	return Switch(vm, "sha256:1", []string{"kernel", "new"}, []string{"kernel", "old"})
}

// has fails the test unless the VM has the old or the new disk, and nothing else.
func has(t *testing.T, vm layout.VM, which, without string, folders ...string) {
	t.Helper()
	for _, name := range files(vm) {
		b, err := os.ReadFile(filepath.Join(vm.Dir(), name))
		if name == without && !os.IsNotExist(err) || name != without && string(b) != which+" "+name {
			t.Errorf("%s is %q %v", name, b, err)
		}
	}
	for _, dir := range []string{NextDir(vm), previousDir(vm), recordFile(vm)} {
		want := false
		for _, f := range folders {
			want = want || f == dir
		}
		if layout.Exists(dir) != want {
			t.Errorf("%s is there: %v", dir, !want)
		}
	}
}

func TestNewSystemDiskThatBootsReplacesTheOldOne(t *testing.T) {
	vm := newVM(t)
	if err := switchDisk(vm); err != nil {
		t.Fatal(err)
	}
	has(t, vm, "new", "initrd", previousDir(vm), recordFile(vm))
	for range 2 { // it is stopped before it has booted, and started again
		if err := Resume(vm); err != nil {
			t.Fatal(err)
		}
		if err := Starting(vm); err != nil || !Trying(vm) {
			t.Fatal(err)
		}
	}
	if err := Booted(vm); err != nil || Trying(vm) {
		t.Fatal(err)
	}
	has(t, vm, "new", "initrd")
	if got := fmt.Sprint(vm.StoredImages()); got != "[kernel new]" {
		t.Error(got)
	}
}

func TestOldSystemDiskComesBackWhenTheNewOneDoesNotBoot(t *testing.T) {
	for name, fail := range map[string]func(layout.VM) error{
		"it is broken": func(vm layout.VM) error { return Failed(vm, "it panics", false) },
		"it never boots": func(vm layout.VM) error {
			for range maxStarts {
				if err := Starting(vm); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			vm := newVM(t)
			if err := switchDisk(vm); err != nil {
				t.Fatal(err)
			}
			if err := fail(vm); err != nil {
				t.Fatal(err)
			}
			if err := Resume(vm); err != nil {
				t.Fatal(err)
			}
			has(t, vm, "old", "kernel.cmdline")
			if r, ok := Refused(vm); !ok || r.Images != "sha256:1" || r.Reason == "" {
				t.Error(r)
			}
			if got := fmt.Sprint(vm.StoredImages()); got != "[kernel old]" {
				t.Error(got)
			}
			if err := Forget(vm); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A kill may come after each move of a file, and the next preparation goes on from there.
func TestKilledReplacementIsCompleted(t *testing.T) {
	type move struct{ from, to string }
	moves := func(vm layout.VM) (all []move) { // of a switch, in the order of switchFiles
		for _, name := range files(vm) {
			if name != "kernel.cmdline" {
				all = append(all, move{filepath.Join(vm.Dir(), name), filepath.Join(previousDir(vm), name)})
			}
			if name != "initrd" {
				all = append(all, move{filepath.Join(NextDir(vm), name), filepath.Join(vm.Dir(), name)})
			}
		}
		return all
	}
	for n := range len(moves(newVM(t))) + 1 {
		t.Run(fmt.Sprint(n, " moves"), func(t *testing.T) {
			vm := newVM(t)
			whole := newVM(t)
			if err := switchDisk(whole); err != nil {
				t.Fatal(err)
			}
			r, _, err := read(whole)
			if err != nil {
				t.Fatal(err)
			}
			r.Step = switching
			put(t, vm, r)
			if err := os.MkdirAll(previousDir(vm), 0o700); err != nil {
				t.Fatal(err)
			}
			for _, m := range moves(vm)[:n] {
				if err := os.Rename(m.from, m.to); err != nil {
					t.Fatal(err)
				}
			}
			if err := Resume(vm); err != nil {
				t.Fatal(err)
			}
			has(t, vm, "new", "initrd", previousDir(vm), recordFile(vm))

			// And on the way back.
			r.Step, r.Failure = restoring, "it panics"
			put(t, vm, r)
			back := 0
			for _, name := range files(vm) {
				previous := filepath.Join(previousDir(vm), name)
				if back++; back > n {
					break
				}
				if layout.Exists(previous) {
					err = os.Rename(previous, filepath.Join(vm.Dir(), name))
				} else {
					err = os.Remove(filepath.Join(vm.Dir(), name))
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := Resume(vm); err != nil {
				t.Fatal(err)
			}
			has(t, vm, "old", "kernel.cmdline")
		})
	}
}

func put(t *testing.T, vm layout.VM, r record) {
	t.Helper()
	limatest.WriteFile(t, recordFile(vm), fmt.Sprintf(`{"step": %q, "images": %q, "files": %s, "filesOld": %s, "failure": %q}`, r.Step, r.Images, list(r.Files), list(r.FilesOld), r.Failure))
}

func list(names []string) string {
	text := "["
	for i, name := range names {
		if i > 0 {
			text += ","
		}
		text += fmt.Sprintf("%q", name)
	}
	return text + "]"
}

// A kill before the record was written, or after it was removed.
func TestFoldersWithoutARecordAreRemoved(t *testing.T) {
	vm := newVM(t)
	limatest.WriteFile(t, filepath.Join(previousDir(vm), "basedisk"), "left")
	if err := Resume(vm); err != nil {
		t.Fatal(err)
	}
	has(t, vm, "old", "kernel.cmdline")
}
