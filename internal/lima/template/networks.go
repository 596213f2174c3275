package template

import (
	"fmt"
	"net"
	"path/filepath"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/lima"
)

// checkNetworks refuses networks that a VM can't join.
func checkNetworks(y *limayaml.LimaYAML) error {
	for i, n := range y.Networks {
		field := fmt.Sprintf("networks[%d]", i)
		switch {
		case n.Lima != "":
			return lima.FieldErrorf(field+".lima", "%q is a network of Lima's, whose daemon RDD doesn't run: leave it out, since a VM reaches the internet and the host without, or name the socket of a network that runs, with socket: PATH", n.Lima)
		case n.Socket == "" && (n.VZNAT == nil || !*n.VZNAT):
			return lima.FieldErrorf(field+".socket", "must be the path of the socket of a network that runs; or leave the network out")
		case n.Socket != "" && !filepath.IsAbs(n.Socket):
			return lima.FieldErrorf(field+".socket", "must be an absolute path; got %q", n.Socket)
		}
		if n.MACAddress == "" {
			continue
		}
		if mac, err := net.ParseMAC(n.MACAddress); err != nil || len(mac) != 6 {
			return lima.FieldErrorf(field+".macAddress", "must be six bytes such as 52:55:55:12:34:56; got %q", n.MACAddress)
		} else if mac[0]&1 != 0 {
			return lima.FieldErrorf(field+".macAddress", "%s is an address of a group: its first byte must be even, such as 52", n.MACAddress)
		}
	}
	return nil
}
