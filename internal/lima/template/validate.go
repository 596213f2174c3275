// Package template reads, completes and checks Lima templates, and turns them into the configuration that Lima
// gets. It refuses what Lima accepts although it does harm, can never work, or means something else to Lima than to its
// author. rdd-lima's commands and package vm call it.
package template

import (
	"cmp"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/store/filenames"
	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/templatetext"
)

// Validate reports whether Lima accepts the template for vm. The error is a *PermanentError that names the
// field. Nothing is downloaded and nothing is written.
func Validate(vm layout.VM, text []byte, params map[string]string, asRoot bool) error {
	_, err := validate(vm, false, text, params, asRoot)
	return err
}

// validate checks a template for vm and returns it with every default filled in. If named is false, vm only says where
// a VM would be.
func validate(vm layout.VM, named bool, text []byte, params map[string]string, asRoot bool) (*limayaml.LimaYAML, error) {
	logrus.SetOutput(io.Discard) // Lima's warnings would be about another user's terminal
	if err := templatetext.Check(text); err != nil {
		return nil, lima.Permanent(err)
	}
	_, r, err := evaluate(vm, named, text, params, asRoot)
	if err != nil {
		return nil, err
	}
	return r.Config, nil
}

// evaluate completes and checks a template. It returns the completed template as it is written, and all of the result
// but Text.
func evaluate(vm layout.VM, named bool, text []byte, params map[string]string, asRoot bool) (y *limayaml.LimaYAML, r *Resolved, err error) {
	whole, err := Complete(text, params, asRoot)
	if err != nil {
		return nil, nil, err
	}
	if y, err = decode(whole); err != nil {
		return nil, nil, err
	}
	if err := checkFields(y); err != nil {
		return nil, nil, err
	}
	r = new(Resolved)
	if r.Config, err = Load(vm, whole); err != nil {
		return nil, nil, err
	}
	if err := checkDriver(vm, r.Config); err != nil {
		return nil, nil, err
	}
	if r.HostPaths, err = checkEffects(vm, named, y, r.Config); err != nil {
		return nil, nil, err
	}
	return y, r, checkSizes(r.Config)
}

// Load reads a template as Lima does, with every default filled in, and has Lima validate it.
func Load(vm layout.VM, template []byte) (y *limayaml.LimaYAML, err error) {
	defer func() {
		// Some of Lima's checks panic on unexpected input.
		if p := recover(); p != nil {
			y, err = nil, lima.Permanentf("the template makes Lima panic: %v", p)
		}
	}()
	path := filepath.Join(vm.Dir(), filenames.LimaYAML)
	y, err = limayaml.Load(template, path)
	if err != nil {
		return nil, LimaError(cmp.Or(firstUnused(template, path), err))
	}
	if slices.ContainsFunc(y.Networks, func(n limayaml.Network) bool { return n.Lima != "" }) {
		// Only for such a template Lima reads its network configuration, and makes it if it is missing.
		if _, err := os.Stat(filepath.Join(vm.Home, filenames.ConfigDir, filenames.NetworksConfig)); err != nil {
			return y, nil // checked when the VM is prepared
		}
	}
	return y, LimaError(limayaml.Validate(y, false))
}

// firstUnused returns Lima's error about the unused param whose name comes first. Lima itself reports a random one.
func firstUnused(template []byte, path string) error {
	y, err := decode(template)
	if err != nil {
		return nil //nolint:nilerr // the error is not about a param
	}
	for _, name := range slices.Sorted(maps.Keys(y.Param)) {
		one := *y
		one.Param = map[string]string{name: y.Param[name]}
		text, err := canonical(&one)
		if err == nil {
			_, err = limayaml.Load(text, path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
