//go:build unix

package hostpath

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/lima/limatest"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// copyOut copies a guest's file to path, as a hostagent does.
func copyOut(t *testing.T, vm layout.VM, path, text string) {
	t.Helper()
	p := Path{Field: "copyToHost[0].host", Path: path, Inside: filepath.Join(vm.Dir(), copiesDir, "0")}
	if err := os.MkdirAll(vm.Run(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Keep(vm, []Path{p}); err != nil {
		t.Fatal(err)
	}
	f, err := Place(vm)
	if err != nil {
		t.Fatal(err)
	}
	limatest.WriteFile(t, p.Inside, text)
	if wrong := f.CopyOut(vm); wrong != nil {
		t.Error(wrong)
	}
}

func TestCopyThatAKillInterruptsIsWholeOrNotThere(t *testing.T) {
	path, size := filepath.Join(t.TempDir(), "file"), 32*limatest.MiB
	copied := make(chan struct{})
	seen := make(chan int64, 1) // the file's size when it appears
	go func() {
		defer close(seen)
		for ended := false; !ended; {
			select {
			case <-copied:
				ended = true
			default:
			}
			if info, err := os.Lstat(path); err == nil {
				seen <- info.Size()
				return
			}
		}
	}()
	copyOut(t, limatest.NewVM(t), path, strings.Repeat("x", size))
	close(copied)
	if got := <-seen; got != int64(size) {
		t.Errorf("a kill could leave %d bytes of %d", got, size)
	}
}

func TestFileIsCopiedToAnotherFileSystem(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "rdd-test-")
	if err != nil {
		t.Skip("there is no other file system:", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	vm, path := limatest.NewVM(t), filepath.Join(dir, "file")
	for _, text := range []string{"one", "two"} {
		copyOut(t, vm, path, text)
		if b, err := os.ReadFile(path); err != nil || string(b) != text {
			t.Errorf("%q, %v; want %q", b, err, text)
		}
	}
}
