package server

import (
	"fmt"
	"strings"

	"rancherdesktop.io/rdd/internal/api/lima/v1alpha1"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// checkFolder says why a new VM's folder can't be made here: something is there already, which a new
// disk must not take the place of. ownsEmptyHost says whether VMs without a host are this one's.
func (r *Run) checkFolder(ownsEmptyHost bool) func(vm *v1alpha1.LimaVM) error {
	return func(vm *v1alpha1.LimaVM) error {
		if mine := vm.Spec.Host == r.Host || vm.Spec.Host == "" && ownsEmptyHost; !mine {
			return nil
		}
		at := layout.VM{Home: r.Instance.LimaHome(), Name: vm.Name}
		names, err := at.Contents()
		switch {
		case err != nil:
			return err
		case len(names) == 0 || at.Unfinished():
			return nil
		case at.Made():
			return fmt.Errorf("there is already a VM with this name in %[1]s, without an object. Adopt it with: rdd vm adopt %[2]s; or delete it and its disk with: rdd vm delete %[2]s --orphan", at.Dir(), vm.Name)
		}
		return fmt.Errorf("the folder %s is there already and is no VM's (it holds %s): move it away, or choose another name", at.Dir(), strings.Join(names[:min(len(names), 5)], ", "))
	}
}
