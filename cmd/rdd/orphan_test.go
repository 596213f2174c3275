//go:build linux

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A VM that no object stands for could neither be reached nor removed by any command, and a new VM of its
// name took the place of its disk.
func TestVMThatTheServiceDoesNotKnowIsNamedAndTakenInOrRemoved(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.start()
	b.must(0, "svc", "stop")
	b.start()
	for _, name := range []string{"demo", "other"} {
		b.must(0, "vm", "create", name, b.template)
	}
	b.must(0, "svc", "stop")
	backups, err := filepath.Glob(filepath.Join(b.data(), "backups", "0001-*.db"))
	if err != nil || len(backups) != 1 {
		t.Fatal(backups, err)
	}
	if r := b.must(0, "svc", "restore", backups[0]); !strings.Contains(r.out, "rdd vm adopt NAME") {
		t.Error(r.out)
	}
	b.start()
	disk := b.vm("demo").Dir() + "/disk"
	said := b.must(0, "diagnose").out
	for _, want := range []string{`warning orphan-vm: the service has no object for VM "demo" in ` + b.vm("demo").Dir() + ", which is not running", `no object for VM "other" in`, "rdd vm delete NAME --orphan"} {
		if !strings.Contains(said, want) {
			t.Errorf("diagnose doesn't say %q:\n%s", want, said)
		}
	}
	for _, args := range [][]string{{"vm", "show", "demo"}, {"vm", "start", "demo"}, {"vm", "delete", "demo"}} {
		if r := b.must(1, args...); !strings.Contains(r.err, "rdd vm adopt demo") || !strings.Contains(r.err, "rdd vm delete demo --orphan") {
			t.Errorf("%v: %s", args, r.err)
		}
	}
	for _, more := range [][]string{nil, {"--dry-run"}} {
		if r := b.must(3, append([]string{"vm", "create", "demo", b.template}, more...)...); !strings.Contains(r.err, "rdd vm adopt demo") {
			t.Error(r.err)
		}
	}
	if text, err := os.ReadFile(disk); err != nil || string(text) != "made\n" {
		t.Errorf("its disk: %q %v", text, err)
	}

	b.must(0, "vm", "adopt", "demo", "--start")
	if text, err := os.ReadFile(disk); err != nil || string(text) != "made\non\n" {
		t.Errorf("its disk: %q %v", text, err)
	}
	b.must(3, "vm", "adopt", "demo")
	if r := b.must(2, "vm", "delete", "demo", "--orphan"); !strings.Contains(r.err, "the service knows this VM") {
		t.Error(r.err)
	}
	b.must(0, "vm", "delete", "other", "--orphan")
	if _, err := os.Lstat(b.vm("other").Dir()); err == nil {
		t.Error("its folder is left")
	}
	b.must(1, "vm", "delete", "other", "--orphan")
	b.must(1, "vm", "adopt", "other")
	b.must(2, "vm", "adopt", "../other")
	b.must(1, "vm", "delete", "../other", "--orphan")
	if said := b.must(0, "diagnose").out; strings.Contains(said, "orphan-vm") {
		t.Error(said)
	}

	// A QEMU whose hostagent is gone, too.
	if _, err := b.stage.Orphan(b.vm("ghost")); err != nil {
		t.Fatal(err)
	}
	if said := b.must(0, "diagnose").out; !strings.Contains(said, `the service has no object for VM "ghost" in `+b.vm("ghost").Dir()+", which is running") {
		t.Error(said)
	}
	b.must(0, "vm", "delete", "ghost", "--orphan")
	if n := b.playing("qemu"); n != 1 { // demo's
		t.Errorf("%d QEMUs: %v", n, b.processes())
	}

	// What is nobody's VM is left alone.
	stray := filepath.Join(b.vm("stray").Dir(), "diary.txt")
	if err := errors.Join(os.MkdirAll(filepath.Dir(stray), 0o700), os.WriteFile(stray, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, r := range []result{b.must(3, "vm", "create", "stray", b.template), b.must(2, "vm", "delete", "stray", "--orphan"), b.must(1, "vm", "adopt", "stray")} {
		if !strings.Contains(r.err, filepath.Dir(stray)) {
			t.Error(r.err)
		}
	}
	if _, err := os.Lstat(stray); err != nil {
		t.Error(err)
	}
}

// One command removed every VM with its disk, and the kind was missing until the service was started twice.
func TestDeletingTheKindOfVMsIsRefused(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	b.start()
	b.must(0, "vm", "create", "demo", b.template)
	for _, args := range [][]string{
		{"delete", "crd", "limavms.lima.rancherdesktop.io"},
		{"delete", "crd", "limavms.lima.rancherdesktop.io", "--force", "--grace-period=0"},
		{"delete", "crd", "--all"},
		{"delete", "namespace", "rdd-system"},
		{"delete", "namespace", "--all", "--force", "--grace-period=0"},
		{"delete", "configmap", "limavm-demo", "--namespace", "rdd-system"},
		{"patch", "limavm", "demo", "--type=merge", "--patch", `{"metadata":{"finalizers":null}}`},
		{"patch", "crd", "limavms.lima.rancherdesktop.io", "--type=merge", "--patch", `{"spec":{"names":{"shortNames":["x"]}}}`},
	} {
		if r := b.must(1, append([]string{"ctl"}, args...)...); !strings.Contains(r.err, "orbidden") {
			t.Errorf("%v: %s%s", args, r.out, r.err)
		}
	}
	if text, err := os.ReadFile(b.vm("demo").Dir() + "/disk"); err != nil || string(text) != "made\n" {
		t.Errorf("its disk: %q %v", text, err)
	}
	b.must(0, "vm", "start", "demo")
}
