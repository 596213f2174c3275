package template

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/lima/hostpath"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// redirect makes Lima put into the VM's own directory what the template wants elsewhere.
func redirect(template []byte, y *limayaml.LimaYAML, vm layout.VM, paths []hostpath.Path) ([]byte, error) {
	inside := map[string]string{}
	for _, p := range paths {
		if p.Inside != p.Path {
			inside[p.Field] = p.Inside
		}
	}
	if len(inside) == 0 {
		return template, nil
	}
	// Lima refuses params that nothing uses, and counts only their names.
	uses := ""
	if len(y.Param) > 0 {
		uses = "{{/*"
		for _, name := range slices.Sorted(maps.Keys(y.Param)) {
			uses += " .Param." + name
		}
		uses += " */}}"
	}
	forwards, copies := slices.Clone(y.PortForwards), slices.Clone(y.CopyToHost)
	for i := range forwards {
		if to := inside[fmt.Sprintf("portForwards[%d].hostSocket", i)]; to != "" {
			forwards[i].HostSocket = uses + filepath.Base(to) // a relative path is one in Lima's directory of sockets
		}
	}
	for i := range copies {
		if to := inside[fmt.Sprintf("copyToHost[%d].host", i)]; to != "" {
			rel, err := filepath.Rel(vm.Dir(), to)
			if err != nil {
				return nil, err
			}
			copies[i].HostFile = uses + "{{.Dir}}/" + filepath.ToSlash(rel)
		}
	}
	inner := *y
	inner.PortForwards, inner.CopyToHost = forwards, copies
	return canonical(&inner)
}
