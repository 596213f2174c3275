package template

import (
	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/lima/hostpath"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// checkEffects refuses what Lima accepts although it does harm, can never work, or means something else to Lima than
// to its author. y is the template as it is written, full has all defaults. named says that vm is the
// VM that gets the template; otherwise it is only a place for one. It returns what the template puts on the host.
func checkEffects(vm layout.VM, named bool, y, full *limayaml.LimaYAML) ([]hostpath.Path, error) {
	for _, check := range []func(y, full *limayaml.LimaYAML) error{checkMounts, checkUser} {
		if err := check(y, full); err != nil {
			return nil, err
		}
	}
	if err := checkQEMUOptions(y); err != nil {
		return nil, err
	}
	if err := checkDisks(vm, y); err != nil {
		return nil, err
	}
	if err := checkHostHas(vm, named, y); err != nil {
		return nil, err
	}
	paths, err := hostpath.List(vm, y, full)
	if err != nil {
		return nil, err
	}
	return paths, hostpath.CheckFree(vm, named, paths)
}
