// Package hostpath looks after the sockets and files that a template puts on the host: it checks that their
// paths are free, puts them there when the VM runs, and removes them afterwards. It replaces and removes only
// what the VM itself has made.
package hostpath

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/store/filenames"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// Path is a socket or a file that a template puts on the host. Lima removes whatever is at such a
// path, folders with all that is in them. So Lima gets a path in the VM's own directory, and the
// hostagent puts a link to the socket, or a copy of the file, where the template wants it.
type Path struct {
	Field        string `json:"field"` // of the template
	Path         string `json:"path"`
	Inside       string `json:"inside"` // where Lima makes it
	Socket       bool   `json:"socket,omitempty"`
	DeleteOnStop bool   `json:"deleteOnStop,omitempty"`
}

// copiesDir is below the VM's directory. Lima copies the guest's files there.
const copiesDir = "rdd.copies"

// List lists what a template puts on the host. The error is a *PermanentError for a path that can never be used,
// whatever is there.
func List(vm layout.VM, y, full *limayaml.LimaYAML) ([]Path, error) {
	var paths []Path
	for i, rule := range y.PortForwards {
		if rule.HostSocket == "" || rule.Reverse || *full.Plain {
			continue
		}
		written := rule.HostSocket
		limayaml.FillPortForwardDefaults(&rule, vm.Dir(), full.User, full.Param)
		p := Path{Field: fmt.Sprintf("portForwards[%d].hostSocket", i), Path: filepath.Clean(rule.HostSocket), Socket: true}
		p.Inside = filepath.Join(vm.Dir(), filenames.SocketDir, fmt.Sprintf("rdd-%d.sock", i))
		if IsBelow(p.Path, filepath.Join(vm.Dir(), filenames.SocketDir)) || runtime.GOOS == "windows" {
			p.Inside = p.Path // Lima's own place
		}
		if err := p.check(vm, written); err != nil {
			return nil, err
		}
		paths = append(paths, p)
	}
	for i, rule := range y.CopyToHost {
		if rule.HostFile == "" {
			continue
		}
		written := rule.HostFile
		limayaml.FillCopyToHostDefaults(&rule, vm.Dir(), full.User, full.Param)
		p := Path{Field: fmt.Sprintf("copyToHost[%d].host", i), Path: rule.HostFile, DeleteOnStop: rule.DeleteOnStop}
		p.Inside = filepath.Join(vm.Dir(), copiesDir, fmt.Sprint(i))
		if err := p.check(vm, written); err != nil {
			return nil, err
		}
		p.Path = filepath.Clean(p.Path)
		paths = append(paths, p)
	}
	return paths, checkApart(paths)
}

// check checks a path without looking at what is there. written is its text in the template.
func (p Path) check(vm layout.VM, written string) error {
	switch {
	case strings.Contains(written, "{{") && (written == p.Path || strings.Contains(p.Path, "{{") || strings.Contains(p.Path, "<no value>")):
		return lima.FieldErrorf(p.Field, "%q can't be filled in: {{.Dir}}, {{.Home}}, {{.Name}}, {{.User}}, {{.UID}}, {{.TempDir}} and {{.Param.NAME}} are known", written)
	case strings.HasPrefix(written, "~"):
		return lima.FieldErrorf(p.Field, "%q: ~ stands for nothing here: write {{.Home}}, or an absolute path", written)
	case !filepath.IsAbs(p.Path):
		return lima.FieldErrorf(p.Field, "must be an absolute path; got %q", written)
	case strings.HasSuffix(written, "/"):
		return lima.FieldErrorf(p.Field, "%q is a folder: name the %s to make in it", written, p.kind())
	}
	path, home, dir := resolveLinks(p.Path), resolveLinks(vm.Home), resolveLinks(vm.Dir())
	if path == home || IsBelow(home, path) || IsBelow(path, home) && !IsBelow(filepath.Dir(path), dir) || IsBelow(path, filepath.Join(dir, copiesDir)) {
		example := "copied-from-guest/NAME"
		if p.Socket {
			example = filenames.SocketDir + "/NAME.sock"
		}
		return lima.FieldErrorf(p.Field, "%s is among RDD's own files: choose another path, or one in a folder of the VM's directory, such as {{.Dir}}/%s", p.Path, example)
	}
	return nil
}

func (p Path) kind() string {
	if p.Socket {
		return "socket"
	}
	return "file"
}

// checkApart refuses two paths that are the same, or of which one is in the other.
func checkApart(paths []Path) error {
	for i, p := range paths {
		for _, q := range paths[:i] {
			a, b := resolveLinks(p.Path), resolveLinks(q.Path)
			if a == b || IsBelow(a, b) || IsBelow(b, a) || p.Path == q.Inside || p.Inside == q.Path {
				return lima.FieldErrorf(p.Field, "%s is already used by %s: choose another path", p.Path, q.Field)
			}
		}
	}
	return nil
}

// IsBelow reports whether path is in the folder dir, at any depth. Both are clean.
func IsBelow(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != "." && filepath.IsLocal(rel)
}

// resolveLinks follows the symbolic links in the folder of path, as far as it exists; not one at path itself.
func resolveLinks(path string) string {
	dir, rest := filepath.Dir(path), filepath.Base(path)
	for {
		if target, err := filepath.EvalSymlinks(dir); err == nil {
			return filepath.Join(target, rest)
		}
		up := filepath.Dir(dir)
		if up == dir {
			return path
		}
		dir, rest = up, filepath.Join(filepath.Base(dir), rest)
	}
}
