package template

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/yqutil"

	"rancherdesktop.io/rdd/internal/lima"
)

// usedFile is a file on this host that a template names.
type usedFile struct {
	field    string
	path     *string
	file     *limayaml.File // which path belongs to; nil when it is a plain path, which can't be a URL or begin with ~
	optional bool           // Lima boots without it when its architecture or digest is wrong, or doesn't use it
}

func (f usedFile) relative() bool {
	p := *f.path
	return p != "" && !filepath.IsAbs(p) && (f.file == nil || !strings.Contains(p, "://") && !strings.HasPrefix(p, "~"))
}

// check checks the path, and the architecture and digest that the template gives with it.
func (f usedFile) check() error {
	switch {
	case f.relative():
		return lima.FieldErrorf(f.field, "%q must be an absolute path: a template that is stored has no folder that it could be relative to", *f.path)
	case f.file == nil || f.optional:
		return nil
	case *f.path == "":
		return lima.FieldErrorf(f.field, "must be a path or a URL")
	}
	field := strings.TrimSuffix(f.field, ".location")
	if f.file.Arch != "" {
		if err := checkArch(field+".arch", f.file.Arch); err != nil {
			return err
		}
	}
	if f.file.Digest == "" {
		return nil
	}
	if err := f.file.Digest.Validate(); err != nil {
		return lima.FieldErrorf(field+".digest", "%q is not a digest such as sha256: and 64 hexadecimal digits: %w", f.file.Digest, err)
	}
	return nil
}

// filesOf lists the files that a template names and Lima reads.
func filesOf(y *limayaml.LimaYAML) (all []usedFile) {
	add := func(file *limayaml.File, field string, index int, part string) {
		optional := field != "images"
		all = append(all, usedFile{fmt.Sprintf("%s[%d]%s.location", field, index, part), &file.Location, file, optional})
	}
	for i := range y.Images {
		image := &y.Images[i]
		add(&image.File, "images", i, "")
		if image.Kernel != nil {
			add(&image.Kernel.File, "images", i, ".kernel")
		}
		if image.Initrd != nil {
			add(image.Initrd, "images", i, ".initrd")
		}
	}
	for i := range y.Firmware.Images {
		add(&y.Firmware.Images[i].File, "firmware.images", i, "")
	}
	for i := range y.Containerd.Archives {
		add(&y.Containerd.Archives[i], "containerd.archives", i, "")
	}
	for i := range y.CACertificates.Files {
		all = append(all, usedFile{fmt.Sprintf("caCerts.files[%d]", i), &y.CACertificates.Files[i], nil, false})
	}
	for i := range y.Provision {
		all = append(all, usedFile{fmt.Sprintf("provision[%d].playbook", i), &y.Provision[i].Playbook, nil, false})
	}
	return all
}

// absoluteFiles makes relative paths in a template absolute, from dir.
func absoluteFiles(text []byte, y *limayaml.LimaYAML, dir string) ([]byte, error) {
	var exprs []string
	for _, f := range filesOf(y) {
		if f.relative() {
			*f.path = filepath.Join(dir, *f.path)
			exprs = append(exprs, fmt.Sprintf(".%s = %q", f.field, *f.path))
		}
	}
	if len(exprs) == 0 {
		return text, nil
	}
	wanted, err := canonical(y)
	if err != nil {
		return nil, err
	}
	text, err = yqutil.EvaluateExpression(yqutil.Join(exprs), text)
	if err == nil {
		// yq's YAML parser is another one than that which reads templates.
		if y, err = decode(text); err == nil {
			var got []byte
			if got, err = canonical(y); err == nil && !bytes.Equal(got, wanted) {
				err = errors.New("the result isn't the same template")
			}
		}
	}
	if err != nil {
		return nil, lima.Permanentf("its relative paths can't be made absolute (%w): give images and other files by absolute paths", err)
	}
	return text, nil
}
