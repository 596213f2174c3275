package template

import (
	"net"
	"strconv"
	"strings"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/lima"
)

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
