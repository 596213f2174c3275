//go:build unix

package vm

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/lima/limatest"
	"rancherdesktop.io/rdd/internal/lima/template"

	"github.com/lima-vm/lima/pkg/store"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/lima/hostpath"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// hostVM is a VM whose template puts a socket and two files into dir; prepare does what each start does first.
func hostVM(t *testing.T) (vm layout.VM, dir string, prepare func() error) {
	limatest.NeedsVMPrograms(t)
	vm, dir = limatest.NewVM(t), t.TempDir()
	template := fmt.Sprintf("images: [{location: %s}]\ndisk: 32MiB\nparam: {NAME: docker}\nfirmware: {legacyBIOS: true}\n"+
		"containerd: {system: false, user: false}\nenv: {RDD_GUEST_AGENT: builtin}\n"+
		"portForwards: [{guestSocket: /run/docker.sock, hostSocket: '%s/{{.Param.NAME}}.sock'}, {guestPort: 8080, hostPort: 8081}]\n"+
		"copyToHost: [{guest: /etc/hostname, host: '%s/gone', deleteOnStop: true}, {guest: /etc/hosts, host: '%s/kept'}]\n", limatest.WriteImage(t), dir, dir, dir)
	return vm, dir, func() error {
		return Prepare(t.Context(), PrepareOptions{VM: vm, Template: []byte(template), AsRoot: true}, event.NewWriter(io.Discard))
	}
}

// fetch does what Lima does once the guest is up.
func fetch(t *testing.T, vm layout.VM, texts ...string) {
	t.Helper()
	inst, err := store.Inspect(vm.Name)
	if err != nil || len(inst.Errors) > 0 {
		t.Fatal(err, inst.Errors)
	}
	for i, c := range inst.Config.CopyToHost {
		if !hostpath.IsBelow(c.HostFile, vm.Dir()) {
			t.Fatal("Lima writes to", c.HostFile)
		}
		limatest.WriteFile(t, c.HostFile, texts[i])
	}
	for _, f := range inst.Config.PortForwards {
		if f.HostSocket != "" && !hostpath.IsBelow(f.HostSocket, vm.Dir()) {
			t.Fatal("Lima removes", f.HostSocket)
		}
	}
}

// run is one run of a hostagent, as far as the host's files go.
func run(t *testing.T, vm layout.VM, texts ...string) hostpath.Files {
	t.Helper()
	f, err := hostpath.Place(vm)
	if err != nil {
		t.Fatal(err)
	}
	fetch(t, vm, texts...)
	if wrong := f.CopyOut(vm); wrong != nil {
		t.Error(wrong)
	}
	return f
}

func TestStopsAndStartsKeepWhatIsOnTheHost(t *testing.T) {
	vm, dir, prepare := hostVM(t)
	link, gone, kept := filepath.Join(dir, "docker.sock"), filepath.Join(dir, "gone"), filepath.Join(dir, "kept")
	has := func(path, text string) {
		t.Helper()
		if b, _ := os.ReadFile(path); string(b) != text {
			t.Errorf("%s holds %q, want %q", path, b, text)
		}
	}
	start := func(texts ...string) hostpath.Files {
		t.Helper()
		if err := prepare(); err != nil {
			t.Fatal(err)
		}
		return run(t, vm, texts...)
	}

	f := start("one", "one")
	// What is compared with the template of the next start.
	if b, err := os.ReadFile(vm.Job()); err != nil || !strings.Contains(string(b), dir+"/{{.Param.NAME}}.sock") {
		t.Errorf("%v\n%s", err, b)
	}
	if to, err := os.Readlink(link); err != nil || !hostpath.IsBelow(to, vm.Dir()) {
		t.Error(to, err)
	}
	has(gone, "one")
	has(kept, "one")
	f.ReleaseAll(vm)
	if layout.Exists(link) || layout.Exists(gone) {
		t.Error("a stop leaves something")
	}
	has(kept, "one")

	_ = start("two", "two") // and it is killed
	has(kept, "two")
	f = start("three", "three")
	has(gone, "three")
	has(kept, "three")

	limatest.WriteFile(t, gone, "mine") // while it runs
	f.ReleaseAll(vm)
	has(gone, "mine")
	limatest.WriteFile(t, kept, "mine")
	f = start("four", "four")
	has(gone, "four")
	has(kept, "four")
	for _, path := range []string{gone, kept} {
		aside, err := filepath.Glob(path + ".changed-*")
		if err != nil || len(aside) != 1 {
			t.Fatal("what was changed is gone", aside)
		}
		has(aside[0], "mine")
	}

	f.ReleaseAll(vm)
	limatest.WriteFile(t, filepath.Join(link, "file"), "mine") // in the place of the socket
	if p, ok := errors.AsType[*lima.PermanentError](prepare()); !ok || p.Field != "portForwards[0].hostSocket" || !strings.Contains(p.Error(), "is a folder") {
		t.Error(p)
	}
	if _, err := hostpath.Place(vm); err == nil {
		t.Error("a folder that came after the preparation is not seen")
	}
	has(filepath.Join(link, "file"), "mine")
	if err := os.RemoveAll(link); err != nil {
		t.Fatal(err)
	}

	_ = start("five", "five") // and it is killed, and reset
	if err := Remove(t.Context(), vm); err != nil {
		t.Fatal(err)
	}
	if layout.Exists(link) || layout.Exists(gone) {
		t.Error("a reset leaves something")
	}
	has(kept, "five")
	start("six", "six").ReleaseAll(vm)
	has(kept, "six")
	if err := errors.Join(os.Remove(kept), Remove(t.Context(), vm)); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 || layout.Exists(vm.HostFiles()) { // what was put aside
		t.Error("a deletion leaves something", entries, err)
	}
}

func TestTwoVMsDoNotTakeEachOthersSocket(t *testing.T) {
	vm, dir, prepare := hostVM(t)
	if err := prepare(); err != nil {
		t.Fatal(err)
	}
	run(t, vm, "", "")
	link := filepath.Join(dir, "docker.sock")
	text := []byte(limatest.Template + "portForwards: [{guestSocket: /run/docker.sock, hostSocket: " + link + "}]\n")
	other := layout.VM{Home: vm.Home, Name: "other"}
	if to, err := os.Readlink(link); err != nil {
		t.Fatal(err)
	} else {
		limatest.WriteFile(t, to, "") // as the socket is, once the guest is up
		if p, ok := errors.AsType[*lima.PermanentError](template.ValidateChange(other, text, nil, true)); !ok || p.Field != "portForwards[0].hostSocket" {
			t.Error(p)
		}
		if err := os.Remove(to); err != nil {
			t.Fatal(err)
		}
	}
	// That of one that is gone, or was killed before it had a socket, is nobody's.
	lock, err := proc.Acquire(vm.HostagentLock())
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := errors.AsType[*lima.PermanentError](template.ValidateChange(other, text, nil, true)); !ok || !strings.Contains(p.Error(), "symbolic link") {
		t.Error(p)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if err := template.ValidateChange(other, text, nil, true); err != nil {
		t.Error(err)
	}
	// Its own edit may keep it.
	if err := hostpath.CheckFree(vm, true, []hostpath.Path{{Path: link, Socket: true, Inside: "elsewhere"}}); err != nil {
		t.Error(err)
	}
}
