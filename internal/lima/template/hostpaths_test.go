//go:build unix

package template

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"rancherdesktop.io/rdd/internal/lima/limatest"

	"rancherdesktop.io/rdd/internal/machine/layout"
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

func TestAHostPathIsNotMadeRoomFor(t *testing.T) {
	vm := limatest.NewVM(t)
	dir, err := os.MkdirTemp("", "rdd") // short, for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	at := func(name string) string { return filepath.Join(dir, name) }
	limatest.WriteFile(t, at("folder/file"), "mine")
	limatest.WriteFile(t, at("file"), "mine")
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
