package template

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/lima-vm/lima/pkg/downloader"
	"github.com/lima-vm/lima/pkg/limatmpl"
	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/store/filenames"
	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/templatetext"
)

// Read reads a template from a file, a URL, or template://NAME, with everything it refers to
// embedded, so that it can be stored and used elsewhere. Files named by a relative path are looked
// for beside the template.
func Read(ctx context.Context, locator string) ([]byte, error) {
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

// statusErrors turns HTTP error responses into errors. Lima would use their body as a template.
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

// nameless is the VM's name that Lima is given. Without one Lima takes the file's name, which may not be valid.
const nameless = "rdd"

// readPlain makes a text plain, as templatetext.Plain does, and decodes it.
func readPlain(text *[]byte) (*limayaml.LimaYAML, error) {
	if err := templatetext.Check(*text); err != nil {
		return nil, lima.Permanent(err)
	}
	*text = templatetext.Plain(*text)
	return decode(*text)
}

// hasParts reports whether a template refers to others, or to files of scripts.
func hasParts(y *limayaml.LimaYAML) bool {
	return len(y.Base) > 0 ||
		slices.ContainsFunc(y.Provision, func(p limayaml.Provision) bool { return p.File != nil }) ||
		slices.ContainsFunc(y.Probes, func(p limayaml.Probe) bool { return p.File != nil })
}

// SearchPath is where Lima looks for template://NAME: the user's own templates, then RDD's.
func SearchPath(home, share string) string {
	ours := filepath.Join(share, "lima", "templates")
	if home == "" {
		return ours
	}
	return filepath.Join(home, filenames.TemplatesDir) + string(filepath.ListSeparator) + ours
}
