//go:build unix

package vm

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/lima/limatest"
	"rancherdesktop.io/rdd/internal/lima/systemdisk"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// following prepares a VM whose system disk follows the images of its template.
func following(t *testing.T, vm layout.VM, template string) {
	t.Helper()
	o := PrepareOptions{VM: vm, Template: []byte("plain: true\nfirmware: {legacyBIOS: true}\n" + template), DataDisk: 64 * limatest.MiB, ReplaceSystemDisk: true, AsRoot: true}
	if err := Prepare(t.Context(), o, event.NewWriter(new(bytes.Buffer))); err != nil {
		t.Fatal(err)
	}
}

// imageOf returns a template with a new image of that content.
func imageOf(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.raw")
	b := bytes.Repeat([]byte(content), limatest.MiB)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("images: [{location: %s, digest: %q, kernel: {location: %[1]s, digest: %[2]q, cmdline: %s}}]\ndisk: 32MiB\n", path, limatest.Digest(b), content)
}

func (c checked) base(want string) {
	c.Helper()
	b, err := os.ReadFile(filepath.Join(c.vm.Dir(), "basedisk"))
	if err != nil || !strings.HasPrefix(string(b), want) {
		c.Errorf("the image begins with %.3q, want %q: %v", b, want, err)
	}
	yaml, err := os.ReadFile(c.vm.LimaYAML())
	if err != nil || !strings.Contains(string(yaml), fmt.Sprintf(`"cmdline": %q`, want)) {
		c.Errorf("%v %s", err, yaml)
	}
	if !layout.Exists(c.vm.Prepared()) || !c.vm.HasData() {
		c.Error("the VM is not whole")
	}
}

type checked struct {
	*testing.T
	vm layout.VM
}

// stored counts the stored images.
func (c checked) stored(want int) {
	c.Helper()
	entries, _ := os.ReadDir(layout.ImagesDir(c.vm.Home))
	if len(entries) != want {
		c.Errorf("%d images are stored, want %d", len(entries), want)
	}
}

func TestNewerImageReplacesTheSystemDiskAtTheNextStart(t *testing.T) {
	limatest.NeedsVMPrograms(t)
	vm := limatest.NewVM(t)
	c := checked{t, vm}
	first, second, third := imageOf(t, "one"), imageOf(t, "two"), imageOf(t, "six")
	following(t, vm, first)
	c.base("one")
	data, _ := os.Stat(vm.DataDisk())
	old, _ := os.ReadFile(vm.Disk())

	following(t, vm, second+"cpus: 1\n")
	c.base("two")
	c.stored(2)
	if !systemdisk.Trying(vm) {
		t.Fatal("the new disk is taken for good before it has booted")
	}
	if err := systemdisk.Failed(vm, "it panics", false); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it is not tried again
		following(t, vm, second+"cpus: 1\n")
		c.base("one")
		c.stored(1)
		if now, err := os.ReadFile(vm.Disk()); err != nil || !bytes.Equal(now, old) {
			t.Error("the old disk is another one now", err)
		}
		if yaml, _ := os.ReadFile(vm.LimaYAML()); !strings.Contains(string(yaml), `"cpus": 1`) {
			t.Error("the old disk doesn't get the other settings of the template")
		}
	}

	following(t, vm, third)
	c.base("six")
	if err := systemdisk.Booted(vm); err != nil {
		t.Fatal(err)
	}
	following(t, vm, third)
	c.base("six")
	if now, err := os.Stat(vm.DataDisk()); err != nil || !os.SameFile(now, data) {
		t.Error("the data disk was made again", err)
	}
	if _, refused := systemdisk.Refused(vm); refused {
		t.Error("an older refusal is left")
	}
	if err := Remove(t.Context(), vm, RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	c.stored(0)
}

// Another version of RDD is installed elsewhere, with the same guest.
func TestImageThatMovedReplacesNothing(t *testing.T) {
	limatest.NeedsVMPrograms(t)
	vm := limatest.NewVM(t)
	following(t, vm, imageOf(t, "one"))
	before, _ := os.Stat(vm.Disk())
	following(t, vm, imageOf(t, "one"))
	if after, err := os.Stat(vm.Disk()); err != nil || !os.SameFile(before, after) || systemdisk.Trying(vm) {
		t.Error("the disk was made again", err)
	}
}
