//go:build linux

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// No command could show or remove a VM without a LimaVM object, and a new VM of the same name replaced its disk.
func TestOrphanedVMIsReportedAndCanBeAdoptedOrDeleted(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	e.start()
	e.must(0, "svc", "stop")
	e.start()
	for _, name := range []string{"demo", "other"} {
		e.must(0, "vm", "create", name, e.template)
	}
	e.must(0, "svc", "stop")
	backups, err := filepath.Glob(filepath.Join(e.dataDir(), "backups", "0001-*.db"))
	if err != nil || len(backups) != 1 {
		t.Fatal(backups, err)
	}
	if r := e.must(0, "svc", "restore", backups[0]); !strings.Contains(r.out, "rdd vm adopt NAME") {
		t.Error(r.out)
	}
	e.start()
	disk := e.vm("demo").Dir() + "/disk"
	said := e.must(0, "diagnose").out
	for _, want := range []string{`warning orphan-vm: the service has no object for VM "demo" in ` + e.vm("demo").Dir() + ", which is not running", `no object for VM "other" in`, "rdd vm delete NAME --orphan"} {
		if !strings.Contains(said, want) {
			t.Errorf("diagnose doesn't say %q:\n%s", want, said)
		}
	}
	for _, args := range [][]string{{"vm", "show", "demo"}, {"vm", "start", "demo"}, {"vm", "delete", "demo"}} {
		if r := e.must(1, args...); !strings.Contains(r.err, "rdd vm adopt demo") || !strings.Contains(r.err, "rdd vm delete demo --orphan") {
			t.Errorf("%v: %s", args, r.err)
		}
	}
	for _, more := range [][]string{nil, {"--dry-run"}} {
		if r := e.must(3, append([]string{"vm", "create", "demo", e.template}, more...)...); !strings.Contains(r.err, "rdd vm adopt demo") {
			t.Error(r.err)
		}
	}
	if text, err := os.ReadFile(disk); err != nil || string(text) != "made\n" {
		t.Errorf("its disk: %q %v", text, err)
	}

	e.must(0, "vm", "adopt", "demo", "--start")
	if text, err := os.ReadFile(disk); err != nil || string(text) != "made\non\n" {
		t.Errorf("its disk: %q %v", text, err)
	}
	e.must(3, "vm", "adopt", "demo")
	if r := e.must(2, "vm", "delete", "demo", "--orphan"); !strings.Contains(r.err, "the service knows this VM") {
		t.Error(r.err)
	}
	e.must(0, "vm", "delete", "other", "--orphan")
	if _, err := os.Lstat(e.vm("other").Dir()); err == nil {
		t.Error("its folder is left")
	}
	e.must(1, "vm", "delete", "other", "--orphan")
	if err := os.MkdirAll(e.vm("other").Logs, 0o700); err != nil { // as a deletion leaves it that is killed before its last step
		t.Fatal(err)
	}
	e.must(0, "vm", "delete", "other", "--orphan")
	if exists(e.vm("other").Logs) {
		t.Error("its logs are left")
	}
	e.must(1, "vm", "delete", "other", "--orphan")
	e.must(1, "vm", "adopt", "other")
	e.must(2, "vm", "adopt", "../other")
	e.must(1, "vm", "delete", "../other", "--orphan")
	if said := e.must(0, "diagnose").out; strings.Contains(said, "orphan-vm") {
		t.Error(said)
	}
}

func TestOrphanedVMWhoseQEMURunsCanBeDeleted(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	e.start()
	if _, err := e.fake.Orphan(e.vm("ghost")); err != nil {
		t.Fatal(err)
	}
	if said := e.must(0, "diagnose").out; !strings.Contains(said, `the service has no object for VM "ghost" in `+e.vm("ghost").Dir()+", which is running") {
		t.Error(said)
	}
	e.must(0, "vm", "delete", "ghost", "--orphan")
	if n := e.countFakes("qemu"); n != 0 {
		t.Errorf("%d QEMUs: %v", n, e.processes())
	}
}

func TestFolderThatIsNoVMIsNotTouched(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	e.start()
	stray := filepath.Join(e.vm("stray").Dir(), "diary.txt")
	if err := errors.Join(os.MkdirAll(filepath.Dir(stray), 0o700), os.WriteFile(stray, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, r := range []result{e.must(3, "vm", "create", "stray", e.template), e.must(2, "vm", "delete", "stray", "--orphan"), e.must(1, "vm", "adopt", "stray")} {
		if !strings.Contains(r.err, filepath.Dir(stray)) {
			t.Error(r.err)
		}
	}
	if err := os.Remove(stray); err != nil {
		t.Error(err)
	}
	e.must(0, "vm", "delete", "stray", "--orphan")
	if exists(filepath.Dir(stray)) {
		t.Error("the empty folder is left")
	}
}

// kubectl delete crd removed every VM with its disk, and the kind was missing until the service was started twice.
func TestDeletingTheKindOfVMsIsRefused(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	e.start()
	e.must(0, "vm", "create", "demo", e.template)
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
		if r := e.must(1, append([]string{"ctl"}, args...)...); !strings.Contains(r.err, "orbidden") {
			t.Errorf("%v: %s%s", args, r.out, r.err)
		}
	}
	if text, err := os.ReadFile(e.vm("demo").Dir() + "/disk"); err != nil || string(text) != "made\n" {
		t.Errorf("its disk: %q %v", text, err)
	}
	e.must(0, "vm", "start", "demo")
}
