package lima

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/docker/go-units"
	"github.com/lima-vm/go-qcow2reader"
	"github.com/lima-vm/lima/pkg/downloader"
	"github.com/lima-vm/lima/pkg/driverutil"
	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/localpathutil"
	"github.com/lima-vm/lima/pkg/store"
	"github.com/lima-vm/lima/pkg/store/filenames"
	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/templatetext"
)

// Smallest sizes that can be meant. Anything below is a forgotten unit.
const (
	minMemory = 64 << 20
	minDisk   = 16 << 20
)

// Validate says whether Lima accepts the template for vm. The error is a *PermanentError that names the
// field. Nothing is downloaded and nothing is written.
func Validate(vm layout.VM, text []byte, params map[string]string, asRoot bool) error {
	return validate(vm, false, text, params, asRoot)
}

// validate judges a template for vm, which is only a place for a VM unless it is named.
func validate(vm layout.VM, named bool, text []byte, params map[string]string, asRoot bool) error {
	logrus.SetOutput(io.Discard) // Lima's warnings would be about another user's terminal
	if err := templatetext.Check(text); err != nil {
		return &PermanentError{Err: err}
	}
	_, y, full, err := evaluate(vm, text, params, asRoot)
	if err != nil {
		return err
	}
	if _, err := checkEffects(vm, named, y, full); err != nil {
		return err
	}
	return checkSizes(full)
}

// resolve completes a template, and says whether Lima takes it. It returns it as it was completed, as that
// reads, and as Lima reads it, with every default filled in.
func evaluate(vm layout.VM, text []byte, params map[string]string, asRoot bool) (whole []byte, y, full *limayaml.LimaYAML, err error) {
	if whole, err = Complete(text, params, asRoot); err != nil {
		return nil, nil, nil, err
	}
	if y, err = decode(whole); err != nil {
		return nil, nil, nil, err
	}
	if err := checkFields(y); err != nil {
		return nil, nil, nil, err
	}
	if full, err = load(vm, whole); err != nil {
		return nil, nil, nil, err
	}
	return whole, y, full, checkDriver(vm, full)
}

// load reads a template as Lima does, with every default filled in, and lets Lima judge it.
func load(vm layout.VM, template []byte) (y *limayaml.LimaYAML, err error) {
	defer func() {
		// Some of Lima's checks panic on input they don't expect.
		if p := recover(); p != nil {
			y, err = nil, &PermanentError{Err: fmt.Errorf("the template makes Lima panic: %v", p)}
		}
	}()
	path := filepath.Join(vm.Dir(), filenames.LimaYAML)
	y, err = limayaml.Load(template, path)
	if err != nil {
		return nil, fieldError(cmp.Or(firstUnused(template, path), err))
	}
	if usesLimaNetwork(y) {
		// Only then Lima reads, and makes if need be, its network configuration.
		if _, err := os.Stat(filepath.Join(vm.Home, filenames.ConfigDir, filenames.NetworksConfig)); err != nil {
			return y, nil // judged when the VM is prepared
		}
	}
	if err := limayaml.Validate(y, false); err != nil {
		return nil, fieldError(err)
	}
	return y, nil
}

// firstUnused is Lima's error about the first param, by name, that is used nowhere. Lima itself
// reports any of them.
func firstUnused(template []byte, path string) error {
	y, err := decode(template)
	if err != nil {
		return nil //nolint:nilerr // then it is not about a param
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

func usesLimaNetwork(y *limayaml.LimaYAML) bool {
	return slices.ContainsFunc(y.Networks, func(n limayaml.Network) bool { return n.Lima != "" })
}

// These find the field in Lima's messages, and the param in those about one. They are all that Lima says.
var (
	limaField = regexp.MustCompile("^(?:failed to [^`]*)?field `([^`]+)`:? ?")
	limaParam = regexp.MustCompile("^(field `param` key|param) (\"(?:[^\"\\\\]|\\\\.)*\") ")
)

// splitField splits one of Lima's messages into the field, empty when it names none, and what is wrong with it.
func splitField(text string) (field, message string) {
	if m := limaParam.FindStringSubmatch(text); m != nil {
		if name, err := strconv.Unquote(m[2]); err == nil {
			message = text[len(m[0]):]
			if m[1] == "param" {
				message = "its " + message // name or value
			}
			return "param." + name, message
		}
	}
	if m := limaField.FindStringSubmatch(text); m != nil {
		return m[1], text[len(m[0]):]
	}
	return "", text
}

// fieldError turns Lima's error, perhaps several joined, into a PermanentError with the first one's field.
func fieldError(err error) error {
	var field string
	var messages []string
	for _, e := range flatten(err) {
		at, message := splitField(e.Error())
		switch {
		case field == "":
			field = at
		case at != "":
			message = at + ": " + message
		}
		messages = append(messages, message)
	}
	return &PermanentError{field, errors.New(strings.Join(messages, "; "))}
}

func flatten(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, flatten(e)...)
	}
	return all
}

// checkFields checks what Lima would panic on, accept silently, or name badly.
func checkFields(y *limayaml.LimaYAML) error {
	if len(y.Base) > 0 {
		return &PermanentError{"base", errors.New("must be embedded: store the output of `rdd limavm create` from a file or URL, or `limactl template copy --embed-all`")}
	}
	if y.Arch != nil && *y.Arch != "default" {
		if err := checkArch("arch", *y.Arch); err != nil {
			return err
		}
	}
	if len(y.Images) == 0 {
		return &PermanentError{"images", errors.New("must name at least one image")}
	}
	for _, f := range filesOf(y) {
		if f.relative() {
			return &PermanentError{f.field, fmt.Errorf("%q must be an absolute path: a template that is stored has no folder that it could be relative to", *f.path)}
		}
	}
	if err := checkParams(y.Param); err != nil {
		return err
	}
	if err := checkEnv(y); err != nil {
		return err
	}
	for _, arch := range slices.Sorted(maps.Keys(y.CPUType)) {
		if err := checkArch("cpuType", arch); err != nil {
			return err
		}
	}
	arch := limayaml.ResolveArch(y.Arch)
	fits := false
	for i, image := range y.Images {
		field := fmt.Sprintf("images[%d]", i)
		if err := checkFile(field, image.File); err != nil {
			return err
		}
		if image.Kernel != nil {
			if err := checkFile(field+".kernel", image.Kernel.File); err != nil {
				return err
			}
		}
		if image.Initrd != nil {
			if err := checkFile(field+".initrd", *image.Initrd); err != nil {
				return err
			}
		}
		fits = fits || image.Arch == "" || image.Arch == arch
	}
	if !fits {
		return &PermanentError{"images", fmt.Errorf("none is for the architecture %s", arch)}
	}
	if err := checkNetworks(y); err != nil {
		return err
	}
	return checkNumbers(y)
}

// paramName is what Lima takes as the name of a param. It makes a regular expression of it before it
// looks whether it is one.
var paramName = regexp.MustCompile("^[a-zA-Z][a-zA-Z0-9_]*$")

// checkParams checks names and values, the first by name first; Lima takes them in any order.
func checkParams(params map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if !paramName.MatchString(name) {
			return &PermanentError{"param." + name, errors.New("its name must begin with a letter and hold only the letters a-z and A-Z, digits and _")}
		}
		for _, r := range params[name] {
			if !unicode.IsPrint(r) && r != '\t' {
				return &PermanentError{"param." + name, fmt.Errorf("its value contains the unprintable character %q", r)}
			}
		}
	}
	return nil
}

func checkFile(field string, f limayaml.File) error {
	if f.Location == "" {
		return &PermanentError{field + ".location", errors.New("must be a path or a URL")}
	}
	if f.Arch != "" {
		if err := checkArch(field+".arch", f.Arch); err != nil {
			return err
		}
	}
	if f.Digest == "" {
		return nil
	}
	if err := f.Digest.Validate(); err != nil {
		return &PermanentError{field + ".digest", fmt.Errorf("%q is not a digest such as sha256: and 64 hexadecimal digits: %w", f.Digest, err)}
	}
	return nil
}

func checkArch(field string, arch limayaml.Arch) error {
	if slices.Contains(limayaml.ArchTypes, arch) {
		return nil
	}
	return &PermanentError{field, fmt.Errorf("must be one of %s; got %q", strings.Join(limayaml.ArchTypes, ", "), arch)}
}

// checkDriver says whether this host can run VMs of the template's type.
func checkDriver(vm layout.VM, y *limayaml.LimaYAML) error {
	if types := driverutil.Drivers(); !slices.Contains(types, *y.VMType) {
		return &PermanentError{"vmType", fmt.Errorf("must be one of %s on this computer; got %q", strings.Join(types, ", "), *y.VMType)}
	}
	if *y.VMType == limayaml.QEMU {
		return checkQEMUMounts(*y.MountType)
	}
	inst := &store.Instance{Name: vm.Name, Dir: vm.Dir(), VMType: *y.VMType, Arch: *y.Arch, Config: y}
	if err := driverutil.CreateTargetDriverInstance(inst, 0).Validate(); err != nil {
		return fieldError(err)
	}
	return nil
}

// checkQEMUMounts says whether QEMU can share folders in that way here.
func checkQEMUMounts(mountType limayaml.MountType) error {
	types := []string{limayaml.REVSSHFS, limayaml.NINEP}
	if runtime.GOOS == "linux" {
		types = append(types, limayaml.VIRTIOFS)
	}
	if !slices.Contains(types, mountType) {
		return &PermanentError{"mountType", fmt.Errorf("must be one of %s with QEMU on this computer; got %q", strings.Join(types, ", "), mountType)}
	}
	return nil
}

func checkNumbers(y *limayaml.LimaYAML) error {
	if y.CPUs != nil && *y.CPUs < 0 {
		return &PermanentError{"cpus", fmt.Errorf("must be at least 1; got %d", *y.CPUs)}
	}
	for _, size := range []struct {
		field string
		value *string
		least int64
		zero  bool
	}{
		{"memory", y.Memory, minMemory, false},
		{"disk", y.Disk, minDisk, true}, // 0: no disk besides the image
	} {
		if size.value == nil || *size.value == "" {
			continue
		}
		n, err := parseSize(*size.value)
		if err != nil {
			return &PermanentError{size.field, fmt.Errorf("must be a size such as 4GiB; got %q", *size.value)}
		}
		if n < size.least && (n != 0 || !size.zero) {
			return &PermanentError{size.field, fmt.Errorf("%q is too small: at least %s, with a unit such as MiB or GiB", *size.value, units.BytesSize(float64(size.least)))}
		}
	}
	return nil
}

// checkSizes compares the disk with an image that is already on this machine.
func checkSizes(y *limayaml.LimaYAML) error {
	for i, image := range y.Images {
		if image.Arch != *y.Arch || !downloader.IsLocal(image.Location) {
			continue
		}
		path, err := localPath(image.Location)
		if err != nil {
			return &PermanentError{fmt.Sprintf("images[%d].location", i), err}
		}
		if size, ok := virtualSize(path); ok {
			return checkDiskFits(*y.Disk, size)
		}
	}
	return nil
}

// checkDiskFits says whether an image of size bytes fits on a disk.
func checkDiskFits(disk string, size int64) error {
	n, err := parseSize(disk)
	if err != nil || n == 0 || diskSize(n) >= size {
		return nil
	}
	return &PermanentError{"disk", fmt.Errorf("%s is smaller than the image, which needs %s: set disk to at least that", disk, units.BytesSize(float64(size)))}
}

// virtualSize is the size of the disk in an image file; ok is false when it can't be told, as for a
// file that is missing or compressed.
func virtualSize(path string) (size int64, ok bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	image, err := qcow2reader.Open(f)
	if err != nil {
		return 0, false
	}
	defer image.Close()
	size = image.Size()
	return size, size > 0
}

// localPath is the path of a local image: absolute, or below the home directory.
func localPath(location string) (string, error) {
	if path, ok := strings.CutPrefix(location, "file://"); ok {
		if !filepath.IsAbs(path) {
			return "", fmt.Errorf("%q must be an absolute path", location)
		}
		return path, nil
	}
	return localpathutil.Expand(location)
}
