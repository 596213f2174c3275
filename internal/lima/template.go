package lima

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/lima-vm/lima/pkg/downloader"
	"github.com/lima-vm/lima/pkg/limatmpl"
	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/store/filenames"
	"github.com/lima-vm/lima/pkg/yqutil"
	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/templatetext"
)

// Template reads a template from a file, a URL, or template://NAME, with everything it refers to
// embedded, so that it can be stored and used elsewhere. Files named by a relative path are looked
// for beside the template.
func Template(ctx context.Context, locator string) ([]byte, error) {
	logrus.SetOutput(io.Discard) // what Lima logs is no part of an error
	http.DefaultClient.Transport = statusErrors{http.DefaultTransport}
	t, err := limatmpl.Read(ctx, nameless, locator)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("there is no such template file: give the path of a Lima template, a URL, or template://NAME")
	}
	if err != nil {
		return nil, err
	}
	y, err := readPlain(&t.Bytes)
	if err != nil {
		return nil, err
	}
	if hasParts(y) {
		if err := t.Embed(ctx, true, false); err != nil {
			if _, ok := errors.AsType[yaml.Error](err); ok {
				err = yamlError(err, nil)
			}
			return nil, fmt.Errorf("read what it refers to: %w", err)
		}
		if y, err = readPlain(&t.Bytes); err != nil {
			return nil, fmt.Errorf("with what it refers to: %w", err)
		}
	}
	if !downloader.IsLocal(t.Locator) {
		return t.Bytes, nil
	}
	return absoluteFiles(t.Bytes, y, filepath.Dir(strings.TrimPrefix(t.Locator, "file://")))
}

// statusErrors makes errors of a server's refusals. Lima would take what comes with them for a template.
type statusErrors struct{ http.RoundTripper }

// RoundTrip is called for each request.
func (r statusErrors) RoundTrip(req *http.Request) (*http.Response, error) {
	answer, err := r.RoundTripper.RoundTrip(req)
	if err == nil && answer.StatusCode >= http.StatusBadRequest {
		_ = answer.Body.Close()
		return nil, fmt.Errorf("the server answers %s", answer.Status)
	}
	return answer, err
}

// nameless stands for the name of a VM. Without it Lima takes the file's name, which may be no valid one.
const nameless = "rdd"

// readPlain makes a text plain and reads it.
func readPlain(text *[]byte) (*limayaml.LimaYAML, error) {
	if err := templatetext.Check(*text); err != nil {
		return nil, &PermanentError{Err: err}
	}
	*text = templatetext.Plain(*text)
	return decode(*text)
}

// hasParts says whether a template refers to others, or to files of scripts.
func hasParts(y *limayaml.LimaYAML) bool {
	return len(y.Base) > 0 ||
		slices.ContainsFunc(y.Provision, func(p limayaml.Provision) bool { return p.File != nil }) ||
		slices.ContainsFunc(y.Probes, func(p limayaml.Probe) bool { return p.File != nil })
}

// TemplatesPath is where Lima looks for template://NAME: the user's own templates, then RDD's.
func TemplatesPath(home, share string) string {
	ours := filepath.Join(share, "lima", "templates")
	if home == "" {
		return ours
	}
	return filepath.Join(home, filenames.TemplatesDir) + string(filepath.ListSeparator) + ours
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
		return nil, &PermanentError{Err: fmt.Errorf("its relative paths can't be made absolute (%w): give images and other files by absolute paths", err)}
	}
	return text, nil
}

// usedFile is a file of this computer that a template names.
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

// guestUser is who logs in to the guest when RDD runs as root, since the guest's user can't be root.
const guestUser = "lima"

const guestUID = 1000

// Complete returns the template in its canonical form, with values for its params, and, when RDD runs
// as root, with an ordinary user for the guest. Lima would otherwise give the guest the user that runs it.
func Complete(text []byte, params map[string]string, asRoot bool) ([]byte, error) {
	y, err := decode(text)
	if err != nil {
		return nil, err
	}
	if y.User.Name != nil && *y.User.Name == "root" || y.User.UID != nil && *y.User.UID == 0 {
		return nil, &PermanentError{"user", errors.New("the guest's user can't be root: give it another name and a uid such as 1000, or leave user out")}
	}
	if y.Param == nil {
		y.Param = map[string]string{}
	}
	maps.Copy(y.Param, params)
	if asRoot {
		y.User.Name = cmp.Or(y.User.Name, new(guestUser))
		y.User.UID = cmp.Or(y.User.UID, new(uint32(guestUID)))
		y.User.Comment = cmp.Or(y.User.Comment, new("RDD"))
	}
	return canonical(y)
}
