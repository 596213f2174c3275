//go:build unix

package vm

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/lima/limatest"
	"rancherdesktop.io/rdd/internal/lima/template"
)

func TestWhatADiskWasMadeOfCanNotChange(t *testing.T) {
	limatest.NeedsVMPrograms(t)
	vm := limatest.NewVM(t)
	path := limatest.WriteImage(t)
	text := fmt.Sprintf("images: [{location: %s, kernel: {location: %s, cmdline: quiet}}, {location: /no/such, arch: riscv64}]\ndisk: 32MiB\n", path, path)
	change := func(old, wanted string) error {
		return template.ValidateChange(vm, []byte(strings.Replace(text, old, wanted, 1)), nil, true)
	}
	if err := change("cmdline: quiet", "cmdline: loud"); err != nil {
		t.Fatal("no disk yet:", err)
	}
	if _, err := prepareVM(t.Context(), vm, text); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, old, new, field string }{
		{"nothing", "", "", ""},
		{"a larger disk", "32MiB", "64MiB", ""},
		{"more memory", "disk:", "memory: 1GiB\ndisk:", ""},
		{"an image of another architecture", "/no/such", "/nor/such", ""},
		{"a smaller disk", "32MiB", "16MiB", "disk"},
		{"another kernel command line", "quiet", "loud", "images"},
		{"another image", "location: " + path, "location: /other.img", "images"},
		{"no image of this architecture", "images: [{", "images: [{arch: armv7l, ", "images"},
		{"another architecture", "disk:", "arch: riscv64\ndisk:", "arch"},
		{"what Lima rejects", "32MiB", "1KiB", "disk"},
	} {
		err := change(tc.old, tc.new)
		if p, ok := errors.AsType[*lima.PermanentError](err); tc.field == "" && err != nil || tc.field != "" && (!ok || p.Field != tc.field) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	if _, err := prepareVM(t.Context(), vm, strings.Replace(text, "quiet", "loud", 1)); err == nil {
		t.Error("prepare takes what can't change")
	}
}
