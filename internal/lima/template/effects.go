package template

import (
	"cmp"
	"net"
	"strconv"
	"strings"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/lima/hostpath"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// checkEffects refuses what Lima accepts although it does harm, can never work, or means something else to Lima than
// to the template's author. y is the template as it is written; full has all defaults. If named is false, vm only
// says where a VM would be. The result is what the template puts on the host.
func checkEffects(vm layout.VM, named bool, y, full *limayaml.LimaYAML) ([]hostpath.Path, error) {
	if err := cmp.Or(checkMounts(y, full), checkUser(y, full), checkQEMUOptions(y), checkDisks(vm, y), checkHostHas(vm, named, y)); err != nil {
		return nil, err
	}
	paths, err := hostpath.List(vm, y, full)
	if err != nil {
		return nil, err
	}
	return paths, hostpath.CheckFree(vm, named, paths)
}

// checkQEMUOptions refuses fields that become options of QEMU by which it replaces files of the host.
func checkQEMUOptions(y *limayaml.LimaYAML) error {
	if d := y.Audio.Device; d != nil && (strings.HasPrefix(*d, "wav") || strings.ContainsAny(*d, ",=")) {
		return lima.FieldErrorf("audio.device", "must be the name of an audio driver, such as none, default, pa or coreaudio, without options; got %q: QEMU could overwrite a file with sound", *d)
	}
	if d := y.Video.Display; d != nil && strings.HasPrefix(*d, "vnc=") {
		return lima.FieldErrorf("video.display", "must be a display such as none, default or vnc; got %q: put where VNC listens into video.vnc.display", *d)
	}
	if d := y.Video.VNC.Display; d != nil && *d != "" && !isVNCDisplay(*d) {
		return lima.FieldErrorf("video.vnc.display", "must be HOST:NUMBER, such as 127.0.0.1:0 or 127.0.0.1:0,to=9; got %q", *d)
	}
	return nil
}

// isVNCDisplay reports whether a text is a TCP address as QEMU's VNC and Lima read it. QEMU would remove a
// file at the path of a unix socket.
func isVNCDisplay(text string) bool {
	address, options, _ := strings.Cut(text, ",")
	_, number, err := net.SplitHostPort(address)
	if err != nil || strings.Contains(options, "unix:") || strings.HasPrefix(address, "unix:") {
		return false
	}
	n, err := strconv.Atoi(number)
	return err == nil && n >= 0 && n <= 65535-5900
}
