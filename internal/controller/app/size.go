package app

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/resource"

	"rancherdesktop.io/rdd/internal/api/app/v1alpha1"
	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/templatetext"
)

const mib = 1 << 20

// Computer is what the size of the virtual machine depends on. What is 0 is not known.
type Computer struct {
	CPUs   int
	Memory int64  // bytes
	Home   string // the user's home directory
}

// sizeOf returns the spec with its defaults. Paths of mounts are absolute, and a folder comes before those in it.
func sizeOf(spec v1alpha1.VirtualMachine, c Computer) v1alpha1.VirtualMachine {
	size := v1alpha1.VirtualMachine{CPUs: cmp.Or(spec.CPUs, v1alpha1.DefaultCPUs(c.CPUs)), Memory: spec.Memory, Disk: spec.Disk}
	if size.Memory == nil {
		size.Memory = resource.NewQuantity(v1alpha1.DefaultMemory(c.Memory), resource.BinarySI)
	}
	if size.Disk == nil {
		size.Disk = resource.NewQuantity(v1alpha1.DefaultDisk, resource.BinarySI)
	}
	for _, m := range spec.Mounts {
		size.Mounts = append(size.Mounts, v1alpha1.Mount{Path: c.folder(m.Path), Writable: m.Writable})
	}
	if spec.Mounts == nil && c.Home != "" {
		size.Mounts = []v1alpha1.Mount{{Path: c.Home, Writable: true}}
	}
	slices.SortFunc(size.Mounts, func(a, b v1alpha1.Mount) int { return strings.Compare(a.Path, b.Path) })
	return *size.DeepCopy()
}

// folder returns the absolute path of a mount.
func (c Computer) folder(path string) string {
	if rest, home := strings.CutPrefix(path, "~"); home && (rest == "" || rest[0] == '/' || rest[0] == filepath.Separator) {
		path = filepath.Join(c.Home, rest)
	}
	return filepath.Clean(path)
}

// withSize returns a template with the processors, the memory and the mounts of size and with the engine, and changes nothing
// else.
func withSize(template string, size v1alpha1.VirtualMachine, name v1alpha1.EngineName) (string, error) {
	if name == v1alpha1.Moby {
		name = ""
	}
	template, err := templatetext.WithEnv(template, engine.Variable, string(name))
	if err != nil {
		return "", err
	}
	r, err := templatetext.ResourcesOf(template)
	if err != nil {
		return "", err
	}
	r.CPUs, r.Memory = int(size.CPUs), size.Memory.Value()/mib*mib // QEMU counts in MiB
	template, err = templatetext.WithResources(template, r)
	if err != nil {
		return "", err
	}
	mounts := make([]templatetext.Mount, len(size.Mounts))
	for i, m := range size.Mounts {
		mounts[i] = templatetext.Mount{Location: m.Path, Writable: m.Writable}
	}
	return templatetext.WithMounts(template, mounts)
}

// edited keeps the last results of withSize. The App is looked at each time a container starts or ends, and parsing templates
// would be most of that work. The zero value is ready for use.
type edited struct {
	mu    sync.Mutex
	known map[editedKey]editedResult
}

type editedKey struct {
	template, size string
	engine         v1alpha1.EngineName
}

type editedResult struct {
	text string
	err  error
}

// maxEdited bounds the results that are kept: those of the VM's template, of RDD's guest, and of the one that runs.
const maxEdited = 8

func (e *edited) withSize(template string, size v1alpha1.VirtualMachine, engine v1alpha1.EngineName) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := editedKey{template, fmt.Sprintf("%d %d %#v", size.CPUs, size.Memory.Value(), size.Mounts), engine}
	r, ok := e.known[key]
	if !ok {
		if r.text, r.err = withSize(template, size, engine); len(e.known) >= maxEdited || e.known == nil {
			e.known = map[editedKey]editedResult{}
		}
		e.known[key] = r
	}
	return r.text, r.err
}
