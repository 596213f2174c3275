package template

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/lima/hostpath"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// Resolved is a template as a VM gets it.
type Resolved struct {
	Text      []byte             // the configuration that Lima is given
	Config    *limayaml.LimaYAML // the template with every default filled in
	HostPaths []hostpath.Path    // what it puts on the host
}

// Options are what a VM gets beside its template.
type Options struct {
	AsRoot   bool             // the guest needs an ordinary user, because RDD runs as root
	DataDisk bool             // the VM has a data disk
	Images   []limayaml.Image // instead of the template's, if there are any
}

// Resolve completes and checks a template for vm, and turns it into the configuration that Lima is given.
// The error is a *PermanentError that names the field. Nothing is downloaded and nothing is written.
func Resolve(vm layout.VM, text []byte, params map[string]string, o Options) (*Resolved, error) {
	y, r, err := evaluate(vm, true, text, params, o.AsRoot)
	if err != nil {
		return nil, err
	}
	if len(o.Images) > 0 {
		y.Images, r.Config.Images = o.Images, o.Images
	}
	redirect(y, vm, r.HostPaths)
	y.PortForwards = append([]limayaml.PortForward{noForwarding}, y.PortForwards...)
	if err := setProxies(y, os.LookupEnv); err != nil {
		return nil, err
	}
	deliverEnv(y)
	if o.DataDisk && !lima.MountsData(r.Config) {
		mountData(y)
	}
	r.Text, err = canonical(y)
	return r, err
}

// noForwarding is the rule that comes before the template's in what Lima is given. With it Lima forwards no port; it forwards
// sockets of the guest.
var noForwarding = limayaml.PortForward{GuestIP: net.IPv4zero, Proto: limayaml.ProtoAny, Ignore: true}

// PortForwards returns the template's portForwards, with every default filled in, from the configuration that Lima was
// given.
func PortForwards(y *limayaml.LimaYAML) []limayaml.PortForward {
	all := y.PortForwards
	if len(all) > 0 && all[0].Ignore && all[0].GuestIP.Equal(noForwarding.GuestIP) && all[0].Proto == noForwarding.Proto && all[0].GuestPortRange == [2]int{1, 65535} {
		all = all[1:]
	}
	return all
}

// redirect makes Lima put into the VM's own directory what the template wants elsewhere on the host.
func redirect(y *limayaml.LimaYAML, vm layout.VM, paths []hostpath.Path) {
	inside := map[string]string{} // by field, relative to the VM's directory
	for _, p := range paths {
		if p.Inside != p.Path {
			inside[p.Field], _ = filepath.Rel(vm.Dir(), p.Inside)
		}
	}
	// Lima refuses params that nothing uses, and looks only for their names.
	uses := ""
	if len(y.Param) > 0 {
		uses = "{{/*"
		for _, name := range slices.Sorted(maps.Keys(y.Param)) {
			uses += " .Param." + name
		}
		uses += " */}}"
	}
	for i := range y.PortForwards {
		if to := inside[fmt.Sprintf("portForwards[%d].hostSocket", i)]; to != "" {
			y.PortForwards[i].HostSocket = uses + filepath.Base(to) // a relative path is one in Lima's directory of sockets
		}
	}
	for i := range y.CopyToHost {
		if to := inside[fmt.Sprintf("copyToHost[%d].host", i)]; to != "" {
			y.CopyToHost[i].HostFile = uses + "{{.Dir}}/" + filepath.ToSlash(to)
		}
	}
}
