//go:build unix

package template

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/lima/limatest"

	"github.com/goccy/go-yaml"
	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

func TestValidate(t *testing.T) {
	vm := limatest.NewVM(t)
	small := filepath.Join(t.TempDir(), "image.raw")
	if err := os.WriteFile(small, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(small, 2<<30); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, template string
		params         map[string]string
		field, says    string // empty: accepted
	}{
		{name: "an image without a digest", template: minimal},
		{name: "a disk that has room for the image", template: "images: [{location: " + small + "}]\ndisk: 3GiB\n"},
		{name: "additional disks as strings", template: minimal + "additionalDisks: [data]\n", field: "additionalDisks[0].name", says: "qemu-img create"},
		{name: "a minimum version that this is", template: minimal + "minimumLimaVersion: 1.0.0\n"},
		{name: "a param", template: minimal + "param: {A: x}\nprovision: [{mode: system, script: 'echo {{.Param.A}}'}]\n", params: map[string]string{"A": "b, \"c\" $d\\"}},
		{name: "firmware that doesn't fit", template: minimal + "firmware: {images: [{location: /f, arch: arm64, vmType: qemu}]}\n"},

		{name: "nothing", template: " \n", says: "empty"},
		{name: "no YAML", template: "images: [\n", says: "line 1"},
		{name: "no YAML further down", template: minimal + "cpus: 2\n  memory: [\n", says: "line 2"},
		{name: "a text", template: "hello", says: "top level must be a YAML map"},
		{name: "two documents", template: minimal + "---\ncpus: 2\n", says: "line 3"},
		{name: "unknown field", template: minimal + "cpu: 2\n", field: "cpu", says: "line 2: unknown field"},
		{name: "unknown field inside", template: "images:\n- location: /x\n  digset: a\n", field: "images[0].digset", says: "line 3"},
		{name: "a number that is a text", template: minimal + "cpus: many\n", field: "cpus", says: `must be a whole number; got a text "many"`},
		{name: "negative cpus", template: minimal + "cpus: -1\n", field: "cpus", says: "at least 1"},
		{name: "no digest at all", template: "images: [{location: /x, digest: abc}]\n", field: "images[0].digest", says: "not a digest"},
		{name: "a short digest", template: "images: [{location: /x, digest: 'sha256:12'}]\n", field: "images[0].digest", says: "length"},
		{name: "a kernel's digest", template: "images: [{location: /x, kernel: {location: /k, digest: 'md5:12'}}]\n", field: "images[0].kernel.digest", says: "md5"},
		{name: "an initrd without location", template: "images: [{location: /x, initrd: {digest: ''}}]\n", field: "images[0].initrd.location", says: "path or a URL"},
		{name: "unknown architecture", template: minimal + "arch: vax\n", field: "arch", says: "must be one of x86_64"},
		{name: "unknown architecture of an image", template: "images: [{location: /x, arch: vax}]\n", field: "images[0].arch", says: "x86_64"},
		{name: "no image for the architecture", template: "arch: x86_64\nimages: [{location: /x, arch: aarch64}]\n", field: "images", says: "none is for"},
		{name: "no image", template: "cpus: 2\n", field: "images", says: "at least one"},
		{name: "disk without a unit", template: minimal + "disk: 20\n", field: "disk", says: "too small"},
		{name: "disk smaller than the image", template: "images: [{location: " + small + "}]\ndisk: 1GiB\n", field: "disk", says: "smaller than the image, which needs 2GiB"},
		{name: "disk that is no size", template: minimal + "disk: big\n", field: "disk", says: "such as 4GiB"},
		{name: "memory", template: minimal + "memory: 4\n", field: "memory", says: "too small"},
		{name: "provision mode", template: minimal + "provision: [{mode: later, script: x}]\n", field: "provision[0].mode", says: "must"},
		{name: "mount over the system", template: minimal + "mounts: [{location: /tmp, mountPoint: /etc}]\n", field: "mounts[0].mountPoint", says: "system path"},
		{name: "port forward", template: minimal + "portForwards: [{guestSocket: run/x.sock}]\n", field: "portForwards[0].guestSocket", says: "absolute"},
		{name: "vmType", template: minimal + "vmType: vmware\n", field: "vmType", says: "qemu"},
		{name: "base", template: minimal + "base: template://x\n", field: "base", says: "embedded"},
		{name: "base as a map in a list", template: minimal + "base: [{url: template://x}]\n", field: "base", says: "embedded"},
		{name: "a script in a file", template: minimal + "provision: [{mode: system, file: {url: x.sh}}]\n", field: "provision[0].file.url", says: "embedded"},
		{name: "a list that is a text", template: minimal + "mounts: many\n", field: "mounts", says: "line 2: must be a list; got a text"},
		{name: "a list that is a map", template: minimal + "provision: {mode: system}\n", field: "provision", says: "line 2: must be a list; got a map"},
		{name: "vmType of another system", template: minimal + "vmType: vz\n", field: "vmType", says: "must be one of qemu on this computer; got \"vz\""},
		{name: "shared folders of another vmType", template: minimal + "mountType: wsl2\n", field: "mountType", says: "must be one of reverse-sshfs, 9p"},
		{name: "an image beside nothing", template: "images: [{location: disk.img}]\n", field: "images[0].location", says: "must be an absolute path"},
		{name: "a certificate beside nothing", template: minimal + "caCerts: {files: [ca.pem]}\n", field: "caCerts.files[0]", says: "must be an absolute path"},
		{name: "param whose name is a pattern", template: minimal + "param: {'A(': x}\n", field: "param.A(", says: "its name must begin with a letter"},
		{name: "no UTF-8", template: minimal + "message: caf\xe9\n", says: "line 2: this is not UTF-8"},
		{name: "a text that is too large", template: minimal + "#" + strings.Repeat("x", 256<<10), says: "at most 256KiB"},
		{name: "newer Lima", template: minimal + "minimumLimaVersion: 99.0.0\n", says: "99.0.0"},
		{name: "param that is used nowhere", template: minimal, params: map[string]string{"A": "b"}, field: "param.A", says: "is not used in any provision"},
		{name: "param with a newline", template: minimal + "provision: [{mode: system, script: 'echo {{.Param.A}}'}]\n", params: map[string]string{"A": "b\nc"}, field: "param.A", says: "its value contains the unprintable character"},
		{name: "param whose name is no name", template: minimal + "provision: [{mode: system, script: 'echo $PARAM_1A'}]\n", params: map[string]string{"1A": "b"}, field: "param.1A", says: "its name must begin with a letter"},
		{name: "the guest's user is root", template: minimal + "user: {name: root}\n", field: "user", says: "can't be root"},
		{name: "the guest's uid is 0", template: minimal + "user: {name: me, uid: 0}\n", field: "user", says: "can't be root"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := Validate(vm, []byte(tc.template), tc.params, false)
			if tc.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			p, ok := errors.AsType[*lima.PermanentError](err)
			if !ok || p.Field != tc.field || !strings.Contains(p.Error(), tc.says) {
				t.Fatalf("%T %v", err, err)
			}
		})
	}
	if layout.Exists(vm.Home) {
		t.Error("validation wrote to the Lima home")
	}
}

func TestCompleteGivesRootAnOrdinaryGuestUser(t *testing.T) {
	const script = "#!/bin/bash\n\techo \"tab\" '$x' {{.Param.A}}  \n\n  indented: |\n# the end\n"
	template := minimal + "param: {A: old, B: kept}\nprovision:\n- mode: system\n  script: |\n"
	for line := range strings.Lines(script) {
		template += "    " + line
	}
	b, err := Complete([]byte(template), map[string]string{"A": "new: {{x}} 'y'"}, true)
	if err != nil {
		t.Fatal(err)
	}
	var y limayaml.LimaYAML
	if err := yaml.Unmarshal(b, &y); err != nil {
		t.Fatal(err, string(b))
	}
	if y.Param["A"] != "new: {{x}} 'y'" || y.Param["B"] != "kept" || *y.User.Name != guestUser || *y.User.UID != guestUID {
		t.Error(string(b))
	}
	if y.Provision[0].Script != script {
		t.Errorf("script %q became %q", script, y.Provision[0].Script)
	}
	b, err = Complete([]byte(minimal+"user: {name: me}\n"), nil, true)
	if err != nil || !strings.Contains(string(b), "me") || !strings.Contains(string(b), "1000") {
		t.Error(string(b), err)
	}
}

func TestTemplate(t *testing.T) {
	limatest.NewVM(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"base.yaml":  "cpus: 3\nimages: [{location: /abs.img}]\n",
		"start.sh":   "#!/bin/sh\necho hi\n",
		"vm.yaml":    "base: base.yaml\nimages:\n- location: sub/disk.img\n  kernel: {location: vmlinuz}\n  initrd: {location: https://example.com/initrd}\nprovision:\n- mode: system\n  file: start.sh\n",
		"wrong.yaml": "images: [\n", "on-wrong.yaml": "base: wrong.yaml\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, locator := range []string{filepath.Join(dir, "vm.yaml"), "file://" + filepath.Join(dir, "vm.yaml")} {
		b, err := Read(t.Context(), locator)
		if err != nil {
			t.Fatal(err)
		}
		y, err := decode(b)
		if err != nil {
			t.Fatal(err, string(b))
		}
		if *y.CPUs != 3 || y.Provision[0].Script != "#!/bin/sh\necho hi\n" || y.Images[0].Location != filepath.Join(dir, "sub/disk.img") ||
			y.Images[0].Kernel.Location != filepath.Join(dir, "vmlinuz") || y.Images[0].Initrd.Location != "https://example.com/initrd" || y.Images[1].Location != "/abs.img" {
			t.Errorf("%s", b)
		}
	}
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	if _, err := Read(t.Context(), server.URL+"/vm.yaml"); err == nil || !strings.Contains(err.Error(), "the server answers 404") {
		t.Error(err)
	}
	if _, err := Read(t.Context(), filepath.Join(dir, "on-wrong.yaml")); err == nil || !strings.HasPrefix(err.Error(), "read what it refers to: this is not YAML: line 1") || strings.Contains(err.Error(), "\n") {
		t.Error(err)
	}
	if _, err := Read(t.Context(), filepath.Join(dir, "none.yaml")); err == nil || !strings.Contains(err.Error(), "no such template file") {
		t.Error(err)
	}
	if _, err := Read(t.Context(), filepath.Join(dir, "wrong.yaml")); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Error(err)
	}
}
