//go:build unix

package lima

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lima-vm/lima/pkg/store"

	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// deadSocket leaves a socket that nobody listens at, as a killed program does.
func deadSocket(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func liveSocket(t *testing.T, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAHostPathIsNotMadeRoomFor(t *testing.T) {
	vm := newVM(t)
	dir, err := os.MkdirTemp("", "rdd") // short, for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	at := func(name string) string { return filepath.Join(dir, name) }
	writeFile(t, at("folder/file"), "mine")
	writeFile(t, at("file"), "mine")
	deadSocket(t, at("dead.sock"))
	liveSocket(t, at("live.sock"))
	if err := errors.Join(os.Symlink(at("nowhere"), at("link")), os.Symlink(filepath.Dir(vm.Home), at("home"))); err != nil {
		t.Fatal(err)
	}
	socket := func(path string) string {
		return fmt.Sprintf("portForwards: [{guestPort: 1, hostPort: 1}, {guestSocket: /run/docker.sock, hostSocket: %q}]\n", path)
	}
	file := func(path, more string) string {
		return fmt.Sprintf("copyToHost: [{guest: /etc/hostname, host: %q%s}]\n", path, more)
	}
	judged(t, vm, []verdict{
		{"a socket where nothing is", socket(at("new/docker.sock")), "", ""},
		{"a socket where a dead one is", socket(at("dead.sock")), "", ""},
		{"a socket in Lima's own place", socket("docker.sock"), "", ""},
		{"a socket in the VM's directory", socket("{{.Dir}}/sock/docker.sock"), "", ""},
		{"a socket of a program that the guest reaches", "portForwards: [{guestSocket: /run/x, hostSocket: " + at("live.sock") + ", reverse: true}]\n", "", ""},
		{"a file where nothing is", file(at("new/file"), ", deleteOnStop: true"), "", ""},
		{"a file in the VM's directory", file("{{.Dir}}/copied-from-guest/kubeconfig.yaml", ""), "", ""},

		{"a socket where a folder is", socket(at("folder")), "portForwards[1].hostSocket", "folder is a folder"},
		{"a socket where a file is", socket(at("file")), "portForwards[1].hostSocket", "is a file"},
		{"a socket where a program listens", socket(at("live.sock")), "portForwards[1].hostSocket", "a program that runs"},
		{"a socket where a link is", socket(at("link")), "portForwards[1].hostSocket", "symbolic link"},
		{"a socket below a file", socket(at("file/x.sock")), "portForwards[1].hostSocket", "file is not a folder"},
		{"a socket in a folder with a slash behind", socket(dir + "/new/"), "portForwards[1].hostSocket", "name the socket"},
		{"a socket by a relative way", socket("../../../../../../../../../../../../.." + at("folder")), "portForwards[1].hostSocket", "is a folder"},
		{"a socket for a port", "portForwards: [{guestPort: 80, hostSocket: " + at("folder") + "}]\n", "portForwards[0].hostSocket", "is a folder"},
		{"a file where another is", file(at("file"), ""), "copyToHost[0].host", "has not made"},
		{"a file that is to go where another is", file(at("file"), ", deleteOnStop: true"), "copyToHost[0].host", "has not made"},
		{"a file where a folder is", file(at("folder"), ", deleteOnStop: true"), "copyToHost[0].host", "is a folder"},
		{"a file where a socket is", file(at("dead.sock"), ""), "copyToHost[0].host", "is not a file"},
		{"a file where a link is", file(at("link"), ""), "copyToHost[0].host", "symbolic link"},

		{"the VM's disk", socket("{{.Dir}}/diffdisk"), "portForwards[1].hostSocket", "RDD's own"},
		{"the VM's directory", file("{{.Dir}}", ", deleteOnStop: true"), "copyToHost[0].host", "RDD's own"},
		{"another VM's disk", file(filepath.Join(vm.Home, "other/disk/x"), ""), "copyToHost[0].host", "RDD's own"},
		{"the Lima home", file(vm.Home, ", deleteOnStop: true"), "copyToHost[0].host", "RDD's own"},
		{"what the Lima home is in", file(filepath.Dir(vm.Home), ", deleteOnStop: true"), "copyToHost[0].host", "RDD's own"},
		{"the Lima home by a link", file(at("home/lima/rd/x"), ""), "copyToHost[0].host", "RDD's own"},
		{"twice the same", socket(at("new")) + file(at("./new"), ""), "copyToHost[0].host", "portForwards[1].hostSocket"},
		{"one below the other", socket(at("new/x")) + file(at("new"), ", deleteOnStop: true"), "copyToHost[0].host", "portForwards[1].hostSocket"},
		{"a tilde", socket("~/docker.sock"), "portForwards[1].hostSocket", "{{.Home}}"},
		{"a variable that is none", socket("/tmp/{{.Nothing}}/x"), "portForwards[1].hostSocket", "{{.Dir}}"},
		{"a relative file", file("x", ""), "CopyToHost[0].host", "absolute"},

		{"sound into a file", "audio: {device: 'wav,path=" + at("file") + "'}\n", "audio.device", "overwrite"},
		{"sound into wav", "audio: {device: wav}\n", "audio.device", "overwrite"},
		{"VNC at a path", "video: {display: vnc, vnc: {display: 'unix:" + at("file") + "'}}\n", "video.vnc.display", "HOST:NUMBER"},
		{"a display at a path", "video: {display: 'vnc=unix:" + at("file") + "'}\n", "video.display", "video.vnc.display"},
	})
	if b, err := os.ReadFile(at("folder/file")); string(b) != "mine" {
		t.Error(err)
	}
	if b, err := os.ReadFile(at("file")); string(b) != "mine" {
		t.Error(err)
	}
	if layout.Exists(at("new")) || layout.Exists(vm.Home) {
		t.Error("a question has made something")
	}
}

// hostVM is a VM whose template puts a socket and two files into dir; prepare does what each start does first.
func hostVM(t *testing.T) (vm layout.VM, dir string, prepare func() error) {
	programs(t)
	vm, dir = newVM(t), t.TempDir()
	template := fmt.Sprintf("images: [{location: %s}]\ndisk: 32MiB\nparam: {NAME: docker}\nfirmware: {legacyBIOS: true}\n"+
		"containerd: {system: false, user: false}\nenv: {RDD_GUEST_AGENT: builtin}\n"+
		"portForwards: [{guestSocket: /run/docker.sock, hostSocket: '%s/{{.Param.NAME}}.sock'}, {guestPort: 8080, hostPort: 8081}]\n"+
		"copyToHost: [{guest: /etc/hostname, host: '%s/gone', deleteOnStop: true}, {guest: /etc/hosts, host: '%s/kept'}]\n", writeImage(t), dir, dir, dir)
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
		if !isBelow(c.HostFile, vm.Dir()) {
			t.Fatal("Lima writes to", c.HostFile)
		}
		writeFile(t, c.HostFile, texts[i])
	}
	for _, f := range inst.Config.PortForwards {
		if f.HostSocket != "" && !isBelow(f.HostSocket, vm.Dir()) {
			t.Fatal("Lima removes", f.HostSocket)
		}
	}
}

// run is one run of a hostagent, as far as the host's files go.
func run(t *testing.T, vm layout.VM, texts ...string) hostFiles {
	t.Helper()
	f, err := placeHostPaths(vm)
	if err != nil {
		t.Fatal(err)
	}
	fetch(t, vm, texts...)
	if wrong := f.copyOut(vm); wrong != nil {
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
	start := func(texts ...string) hostFiles {
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
	if to, err := os.Readlink(link); err != nil || !isBelow(to, vm.Dir()) {
		t.Error(to, err)
	}
	has(gone, "one")
	has(kept, "one")
	f.releaseAll(vm)
	if layout.Exists(link) || layout.Exists(gone) {
		t.Error("a stop leaves something")
	}
	has(kept, "one")

	_ = start("two", "two") // and it is killed
	has(kept, "two")
	f = start("three", "three")
	has(gone, "three")
	has(kept, "three")

	writeFile(t, gone, "mine") // while it runs
	f.releaseAll(vm)
	has(gone, "mine")
	writeFile(t, kept, "mine")
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

	f.releaseAll(vm)
	writeFile(t, filepath.Join(link, "file"), "mine") // in the place of the socket
	if p, ok := errors.AsType[*PermanentError](prepare()); !ok || p.Field != "portForwards[0].hostSocket" || !strings.Contains(p.Error(), "is a folder") {
		t.Error(p)
	}
	if _, err := placeHostPaths(vm); err == nil {
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
	start("six", "six").releaseAll(vm)
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
	template := []byte(image + "portForwards: [{guestSocket: /run/docker.sock, hostSocket: " + link + "}]\n")
	other := layout.VM{Home: vm.Home, Name: "other"}
	if to, err := os.Readlink(link); err != nil {
		t.Fatal(err)
	} else {
		writeFile(t, to, "") // as the socket is, once the guest is up
		if p, ok := errors.AsType[*PermanentError](ValidateChange(other, template, nil, true)); !ok || p.Field != "portForwards[0].hostSocket" {
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
	if p, ok := errors.AsType[*PermanentError](ValidateChange(other, template, nil, true)); !ok || !strings.Contains(p.Error(), "symbolic link") {
		t.Error(p)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if err := ValidateChange(other, template, nil, true); err != nil {
		t.Error(err)
	}
	// Its own edit may keep it.
	if err := checkFree(vm, true, []hostPath{{Path: link, Socket: true, Inside: "elsewhere"}}); err != nil {
		t.Error(err)
	}
}
