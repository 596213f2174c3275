package image

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/opencontainers/go-digest"

	"rancherdesktop.io/rdd/internal/lima/limatest"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// newVM returns a VM of a Lima home, with its directory.
func newVM(t *testing.T, home, name string) layout.VM {
	t.Helper()
	vm := layout.VM{Home: home, Name: name}
	if err := os.MkdirAll(vm.Dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	return vm
}

// fetch gives a VM an image, and returns its path there and the operations.
func fetch(t *testing.T, vm layout.VM, f limayaml.File) (path string, operations []Operation, err error) {
	t.Helper()
	path = filepath.Join(vm.Dir(), "basedisk")
	fetcher := &Fetcher{Home: vm.Home, Use: vm.UseImage, Begin: func(op Operation, _ string) { operations = append(operations, op) }, Report: func(int64, int64) {}}
	err = fetcher.Fetch(t.Context(), "images[0]", path, f, true)
	return path, operations, err
}

// stored lists the names in the store.
func stored(t *testing.T, home string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(layout.ImagesDir(home))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestSecondVMSharesTheImageOfTheFirst(t *testing.T) {
	for name, d := range map[string]digest.Digest{"with a digest": digest.Digest(limatest.Digest(limatest.Image())), "without": ""} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			f := limayaml.File{Location: limatest.WriteImage(t), Arch: limayaml.X8664, Digest: d}
			first, _, err := fetch(t, newVM(t, home, "a"), f)
			if err != nil {
				t.Fatal(err)
			}
			second, operations, err := fetch(t, newVM(t, home, "b"), f)
			if err != nil {
				t.Fatal(err)
			}
			one, _ := os.Stat(first)
			two, _ := os.Stat(second)
			if !os.SameFile(one, two) {
				t.Error("the second VM has a copy")
			}
			if one.Mode().Perm() != 0o400 {
				t.Error("others may write to it:", one.Mode())
			}
			if d != "" && len(operations) > 0 {
				t.Error("what is there already was read again:", operations)
			}
			if got := stored(t, home); len(got) != 1 {
				t.Error("stored:", got)
			}
		})
	}
}

// The folder of a VM may be on another disk, and not every file system has links.
func TestImageIsCopiedWhereItCannotBeLinked(t *testing.T) {
	home := t.TempDir()
	s := newStore(home)
	s.ways[0] = func(context.Context, string, string) error { return syscall.EXDEV }
	s.ways[1] = func(_ context.Context, _, to string) error { // as one that gives up in the middle
		limatest.WriteFile(t, to, "half")
		return errors.ErrUnsupported
	}
	dest := filepath.Join(newVM(t, home, "a").Dir(), "basedisk")
	_, err := s.give(t.Context(), "sha256-1", dest, func(path string) error { return os.WriteFile(path, limatest.Image(), 0o600) })
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(dest)
	info, _ := os.Stat(dest)
	if err != nil || string(b) != string(limatest.Image()) || info.Mode().Perm() != 0o400 {
		t.Error("the copy is not whole or can be written to", info.Mode(), err)
	}
	if err := reflink(filepath.Join(layout.ImagesDir(home), "sha256-1"), dest+"2"); err == nil {
		if b, err := os.ReadFile(dest + "2"); err != nil || string(b) != string(limatest.Image()) {
			t.Error("the reflink is another file", err)
		}
	}
}

func TestImageStaysUntilItsLastVMGoes(t *testing.T) {
	home := t.TempDir()
	f := limayaml.File{Location: limatest.WriteImage(t), Arch: limayaml.X8664, Digest: digest.Digest(limatest.Digest(limatest.Image()))}
	a, b := newVM(t, home, "a"), newVM(t, home, "b")
	for _, vm := range []layout.VM{a, b} {
		if _, _, err := fetch(t, vm, f); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(a.Dir()); err != nil {
		t.Fatal(err)
	}
	if err := Sweep(home); err != nil || len(stored(t, home)) != 1 {
		t.Error("an image that is in use is gone", err)
	}
	limatest.WriteFile(t, b.Removing(), "")
	if err := Sweep(home); err != nil || len(stored(t, home)) != 0 {
		t.Error("left:", stored(t, home), err)
	}
	if _, err := os.Stat(filepath.Join(b.Dir(), "basedisk")); err != nil {
		t.Error("the VM lost its own file:", err)
	}
}

// As a kill leaves it, before each step.
func TestKilledPreparationLeavesNoHalfOfAnImage(t *testing.T) {
	f := limayaml.File{Location: limatest.WriteImage(t), Arch: limayaml.X8664, Digest: digest.Digest(limatest.Digest(limatest.Image()))}
	key := keyOf(f.Digest, false)
	for name, left := range map[string][]string{
		"locked":            {key + lockSuffix},
		"in the middle":     {key + lockSuffix, key + newSuffix},
		"before the rename": {key + newSuffix},
	} {
		t.Run(name, func(t *testing.T) {
			for _, again := range []bool{true, false} {
				home := t.TempDir()
				vm := newVM(t, home, "a")
				for _, file := range left {
					limatest.WriteFile(t, filepath.Join(layout.ImagesDir(home), file), "half")
				}
				if again {
					path, _, err := fetch(t, vm, f)
					if b, e := os.ReadFile(path); err != nil || e != nil || string(b) != string(limatest.Image()) {
						t.Error("the image is not whole", err, e)
					}
					if got := stored(t, home); !slices.Equal(got, []string{key}) {
						t.Error("stored:", got)
					}
					continue
				}
				if err := Sweep(home); err != nil || len(stored(t, home)) > 0 {
					t.Error("left:", stored(t, home), err)
				}
			}
		})
	}
}

func TestSweepWaitsForNobody(t *testing.T) {
	home := t.TempDir()
	image := filepath.Join(layout.ImagesDir(home), "sha256-1")
	limatest.WriteFile(t, image+newSuffix, "half")
	lock, err := proc.Acquire(image + lockSuffix)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Release() }()
	if err := Sweep(home); err != nil || !layout.Exists(image+newSuffix) {
		t.Error("what another process makes is gone", err)
	}
}

// A second VM waits while the first makes the image, and a canceled one ends.
func TestCanceledVMWaitsForNoImage(t *testing.T) {
	home := t.TempDir()
	s := newStore(home)
	lock, err := s.lock(t.Context(), "sha256-1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Release() }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.give(ctx, "sha256-1", filepath.Join(home, "a"), nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestFailedCopyLeavesNothing(t *testing.T) {
	home := t.TempDir()
	s := newStore(home)
	full := errors.New("the disk is full")
	_, err := s.give(t.Context(), "sha256-1", filepath.Join(home, "a"), func(path string) error {
		limatest.WriteFile(t, path, "half")
		return full
	})
	if !errors.Is(err, full) || len(stored(t, home)) > 0 {
		t.Error(stored(t, home), err)
	}
}
