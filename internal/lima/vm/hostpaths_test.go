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

// hostEnv is a VM whose template puts a socket and two files into the folder dir.
type hostEnv struct {
	*testing.T
	vm               layout.VM
	dir              string
	link, gone, kept string // the socket, a file that is removed when the VM stops, and one that stays
}

func newHostEnv(t *testing.T) *hostEnv {
	limatest.NeedsVMPrograms(t)
	dir := t.TempDir()
	return &hostEnv{t, limatest.NewVM(t), dir, filepath.Join(dir, "docker.sock"), filepath.Join(dir, "gone"), filepath.Join(dir, "kept")}
}

// prepare does what each start does first.
func (e *hostEnv) prepare() error {
	template := fmt.Sprintf("images: [{location: %s}]\ndisk: 32MiB\nparam: {NAME: docker}\nfirmware: {legacyBIOS: true}\n"+
		"containerd: {system: false, user: false}\nenv: {RDD_GUEST_AGENT: builtin}\n"+
		"portForwards: [{guestSocket: /run/docker.sock, hostSocket: '%s/{{.Param.NAME}}.sock'}, {guestPort: 8080, hostPort: 8081}]\n"+
		"copyToHost: [{guest: /etc/hostname, host: '%s/gone', deleteOnStop: true}, {guest: /etc/hosts, host: '%s/kept'}]\n", e.image(), e.dir, e.dir, e.dir)
	return Prepare(e.Context(), PrepareOptions{VM: e.vm, Template: []byte(template), AsRoot: true}, event.NewWriter(io.Discard))
}

// image is the same file for each start of the VM.
func (e *hostEnv) image() string {
	path := filepath.Join(filepath.Dir(e.vm.Home), "image.raw")
	limatest.WriteFile(e, path, string(limatest.Image()))
	return path
}

// start prepares the VM and does what a hostagent does with the host's files. Both of the guest's files have the text.
func (e *hostEnv) start(text string) hostpath.Files {
	e.Helper()
	if err := e.prepare(); err != nil {
		e.Fatal(err)
	}
	f, err := hostpath.Place(e.vm)
	if err != nil {
		e.Fatal(err)
	}
	e.fetch(text)
	if wrong := f.CopyOut(e.vm); wrong != nil {
		e.Error(wrong)
	}
	return f
}

// holds fails the test unless a file has the text.
func (e *hostEnv) holds(path, text string) {
	e.Helper()
	if b, _ := os.ReadFile(path); string(b) != text {
		e.Errorf("%s holds %q, want %q", path, b, text)
	}
}

// fetch does what Lima does once the guest is up.
func (e *hostEnv) fetch(text string) {
	e.Helper()
	inst, err := store.Inspect(e.vm.Name)
	if err != nil || len(inst.Errors) > 0 {
		e.Fatal(err, inst.Errors)
	}
	for _, c := range inst.Config.CopyToHost {
		if !hostpath.IsBelow(c.HostFile, e.vm.Dir()) {
			e.Fatal("Lima writes to", c.HostFile)
		}
		limatest.WriteFile(e, c.HostFile, text)
	}
	for _, f := range inst.Config.PortForwards {
		if f.HostSocket != "" && !hostpath.IsBelow(f.HostSocket, e.vm.Dir()) {
			e.Fatal("Lima removes", f.HostSocket)
		}
	}
}

func TestStopRemovesTheSocketAndWhatIsToGo(t *testing.T) {
	e := newHostEnv(t)
	f := e.start("one")
	// The job is what is compared with the template of the next start.
	if b, err := os.ReadFile(e.vm.Job()); err != nil || !strings.Contains(string(b), e.dir+"/{{.Param.NAME}}.sock") {
		t.Errorf("%v\n%s", err, b)
	}
	if to, err := os.Readlink(e.link); err != nil || !hostpath.IsBelow(to, e.vm.Dir()) {
		t.Error(to, err)
	}
	e.holds(e.gone, "one")
	e.holds(e.kept, "one")
	f.ReleaseAll(e.vm)
	if layout.Exists(e.link) || layout.Exists(e.gone) {
		t.Error("a stop leaves something")
	}
	e.holds(e.kept, "one")
}

func TestStartAfterAKillReplacesTheFiles(t *testing.T) {
	e := newHostEnv(t)
	_ = e.start("one") // and it is killed
	e.holds(e.kept, "one")
	e.start("two")
	e.holds(e.gone, "two")
	e.holds(e.kept, "two")
}

func TestFileThatTheUserHasChangedIsKept(t *testing.T) {
	e := newHostEnv(t)
	f := e.start("one")
	limatest.WriteFile(t, e.gone, "mine") // while it runs
	f.ReleaseAll(e.vm)
	e.holds(e.gone, "mine")
	limatest.WriteFile(t, e.kept, "mine")
	e.start("two")
	for _, path := range []string{e.gone, e.kept} {
		e.holds(path, "two")
		aside, err := filepath.Glob(path + ".changed-*")
		if err != nil || len(aside) != 1 {
			t.Fatal("what was changed is gone", aside)
		}
		e.holds(aside[0], "mine")
	}
}

func TestFolderInThePlaceOfTheSocketIsKept(t *testing.T) {
	e := newHostEnv(t)
	e.start("one").ReleaseAll(e.vm)
	file := filepath.Join(e.link, "file")
	limatest.WriteFile(t, file, "mine")
	if p, ok := errors.AsType[*lima.PermanentError](e.prepare()); !ok || p.Field != "portForwards[0].hostSocket" || !strings.Contains(p.Error(), "is a folder") {
		t.Error(p)
	}
	if _, err := hostpath.Place(e.vm); err == nil {
		t.Error("a folder that came after the preparation is not seen")
	}
	e.holds(file, "mine")
}

func TestRemovalOfAVMLeavesOnlyFilesThatAreToStay(t *testing.T) {
	e := newHostEnv(t)
	_ = e.start("one") // and it is killed, and reset
	if err := Remove(t.Context(), e.vm, RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	if layout.Exists(e.link) || layout.Exists(e.gone) {
		t.Error("a reset leaves something")
	}
	e.holds(e.kept, "one")
	e.start("two").ReleaseAll(e.vm)
	e.holds(e.kept, "two")
	if err := errors.Join(os.Remove(e.kept), Remove(t.Context(), e.vm, RemoveOptions{})); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(e.dir); err != nil || len(entries) != 0 || layout.Exists(e.vm.HostFiles()) {
		t.Error("a deletion leaves something", entries, err)
	}
}

func TestTwoVMsDoNotTakeEachOthersSocket(t *testing.T) {
	e := newHostEnv(t)
	e.start("")
	vm, link := e.vm, e.link
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
	// A socket of a VM that is gone, or was killed before it had the socket, may be replaced.
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
	// The VM itself may keep it.
	if err := hostpath.CheckFree(vm, true, []hostpath.Path{{Path: link, Socket: true, Inside: "elsewhere"}}); err != nil {
		t.Error(err)
	}
}
