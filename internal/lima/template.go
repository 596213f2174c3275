package lima

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/lima-vm/lima/pkg/downloader"
	"github.com/lima-vm/lima/pkg/limatmpl"
	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/store/filenames"
	"github.com/lima-vm/lima/pkg/yqutil"
)

// Template reads a template from a file, a URL, or template://NAME, with everything it refers to
// embedded, so that it can be stored and used elsewhere. Image files named by a relative path are
// looked for beside the template.
func Template(ctx context.Context, locator string) ([]byte, error) {
	t, err := limatmpl.Read(ctx, "", locator)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Problem{Err: fmt.Errorf("there is no template file %s: give the path of a Lima template, a URL, or template://NAME", locator)}
	}
	if err != nil {
		return nil, fmt.Errorf("read template %s: %w", locator, err)
	}
	if err := checkSyntax(t.Bytes); err != nil {
		return nil, fmt.Errorf("template %s: %w", locator, err)
	}
	if err := t.Embed(ctx, true, false); err != nil {
		return nil, fmt.Errorf("read template %s with its parts: %w", locator, err)
	}
	if !downloader.IsLocal(t.Locator) {
		return t.Bytes, nil
	}
	return absoluteImages(t.Bytes, filepath.Dir(strings.TrimPrefix(t.Locator, "file://")))
}

// TemplatesPath is where Lima looks for template://NAME: the user's own templates, then RDD's.
func TemplatesPath(home, share string) string {
	ours := filepath.Join(share, "lima", "templates")
	if home == "" {
		return ours
	}
	return filepath.Join(home, filenames.TemplatesDir) + string(filepath.ListSeparator) + ours
}

// absoluteImages makes relative image paths absolute, from dir.
func absoluteImages(b []byte, dir string) ([]byte, error) {
	y, err := decode(b)
	if err != nil {
		return nil, err
	}
	var exprs []string
	fix := func(path string, f limayaml.File) {
		l := f.Location
		if l == "" || strings.Contains(l, "://") || strings.HasPrefix(l, "~") || filepath.IsAbs(l) {
			return
		}
		exprs = append(exprs, fmt.Sprintf("%s.location = %q", path, filepath.Join(dir, l)))
	}
	for i, image := range y.Images {
		path := fmt.Sprintf(".images[%d]", i)
		fix(path, image.File)
		if image.Kernel != nil {
			fix(path+".kernel", image.Kernel.File)
		}
		if image.Initrd != nil {
			fix(path+".initrd", *image.Initrd)
		}
	}
	return yqutil.EvaluateExpression(yqutil.Join(exprs), b)
}

// guestUser is who logs in to the guest when RDD runs as root, since the guest's user can't be root.
const guestUser = "lima"

const guestUID = 1000

// Complete returns the template with values for its params, and, when RDD runs as root, with an
// ordinary user for the guest. Lima would otherwise give the guest the user that runs it.
func Complete(template []byte, params map[string]string, asRoot bool) ([]byte, error) {
	y, err := decode(template)
	if err != nil {
		return nil, err
	}
	more := map[string]any{}
	if len(params) > 0 {
		more["param"] = params
	}
	user := map[string]any{}
	if asRoot {
		if y.User.Name == nil {
			user["name"] = guestUser
		}
		if y.User.UID == nil {
			user["uid"] = guestUID
		}
		if y.User.Comment == nil {
			user["comment"] = "RDD"
		}
	}
	if y.User.Name != nil && *y.User.Name == "root" || y.User.UID != nil && *y.User.UID == 0 {
		return nil, &Problem{"user", errors.New("the guest's user can't be root: give it another name and a uid such as 1000, or leave user out")}
	}
	if len(user) > 0 {
		more["user"] = user
	}
	if len(more) == 0 {
		return template, nil
	}
	return merge(template, more)
}

// merge lays more over the template. JSON is YAML, so any value arrives unchanged.
func merge(template []byte, more map[string]any) ([]byte, error) {
	b, err := json.Marshal(more)
	if err != nil {
		return nil, err
	}
	both := bytes.Join([][]byte{bytes.TrimRight(template, "\n"), b}, []byte("\n---\n"))
	out, err := yqutil.EvaluateExpressionPlain("select(document_index == 0) * select(document_index == 1)", string(both))
	return []byte(out), err
}
