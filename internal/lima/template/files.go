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
	field string
	path  *string
	plain bool // a path, and no URL and no ~
}

func (f usedFile) relative() bool {
	p := *f.path
	return p != "" && !filepath.IsAbs(p) && (f.plain || !strings.Contains(p, "://") && !strings.HasPrefix(p, "~"))
}

// filesOf lists the files that a template names and Lima reads.
func filesOf(y *limayaml.LimaYAML) (all []usedFile) {
	for i := range y.Images {
		image, field := &y.Images[i], fmt.Sprintf("images[%d]", i)
		all = append(all, usedFile{field + ".location", &image.Location, false})
		if image.Kernel != nil {
			all = append(all, usedFile{field + ".kernel.location", &image.Kernel.Location, false})
		}
		if image.Initrd != nil {
			all = append(all, usedFile{field + ".initrd.location", &image.Initrd.Location, false})
		}
	}
	for i := range y.Firmware.Images {
		all = append(all, usedFile{fmt.Sprintf("firmware.images[%d].location", i), &y.Firmware.Images[i].Location, false})
	}
	for i := range y.Containerd.Archives {
		all = append(all, usedFile{fmt.Sprintf("containerd.archives[%d].location", i), &y.Containerd.Archives[i].Location, false})
	}
	for i := range y.CACertificates.Files {
		all = append(all, usedFile{fmt.Sprintf("caCerts.files[%d]", i), &y.CACertificates.Files[i], true})
	}
	for i := range y.Provision {
		all = append(all, usedFile{fmt.Sprintf("provision[%d].playbook", i), &y.Provision[i].Playbook, true})
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
		// The program that did this knows another YAML than the one that reads it.
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
