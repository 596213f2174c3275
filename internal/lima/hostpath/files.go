package hostpath

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// Files records what a VM has put on the host. It is stored outside the VM's directory.
type Files struct {
	Paths   []Path            `json:"paths"`
	Written map[string]string `json:"written,omitempty"` // files that the VM has made, with their SHA-256
}

func readFiles(vm layout.VM) (Files, error) {
	f := Files{Written: map[string]string{}}
	err := atomicfile.ReadJSON(vm.HostFiles(), &f)
	if _, damaged := errors.AsType[*atomicfile.DamagedError](err); damaged || errors.Is(err, fs.ErrNotExist) {
		return Files{Written: map[string]string{}}, nil // without a record nothing is known to be the VM's own
	}
	return f, err
}

// save writes the record, or removes it if it is empty.
func (f Files) save(vm layout.VM) error {
	if len(f.Paths)+len(f.Written) == 0 {
		return os.RemoveAll(vm.HostFiles())
	}
	return atomicfile.WriteJSON(vm.HostFiles(), f)
}

// Keep records what the VM puts on the host, and removes what it has put at other paths before. The caller holds
// the VM's disk lock, so no hostagent runs.
func Keep(vm layout.VM, paths []Path) error {
	old, err := readFiles(vm)
	if err != nil {
		return err
	}
	now := Files{Paths: paths, Written: map[string]string{}}
	for _, p := range paths {
		if sum, ok := old.Written[p.Path]; ok {
			now.Written[p.Path] = sum
		}
	}
	for _, p := range old.Paths {
		if !slices.ContainsFunc(paths, func(q Path) bool { return q.Path == p.Path }) {
			old.release(vm, p)
		}
	}
	return now.save(vm)
}

// Release removes what a VM has left on the host, when its disk is removed. It keeps the record of copies that are to
// stay, because the VM may be created again from the same template.
func Release(vm layout.VM) error {
	f, err := readFiles(vm)
	if err != nil {
		return err
	}
	f.ReleaseAll(vm)
	f.Paths = nil
	maps.DeleteFunc(f.Written, func(path, _ string) bool { return !layout.Exists(path) })
	return f.save(vm)
}

// release removes the link at p, or the copy that is to go when the VM stops. A file that was changed stays.
func (f Files) release(vm layout.VM, p Path) {
	var err error
	switch {
	case p.Inside == p.Path:
	case p.Socket && p.linkOf(vm), !p.Socket && p.DeleteOnStop && f.unchanged(p.Path):
		err = os.Remove(p.Path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		logrus.WithError(err).Warnf("%s: %s can't be removed", p.Field, p.Path)
	}
}

// unchanged reports whether a file is just as the VM wrote it.
func (f Files) unchanged(path string) bool {
	sum, ok := f.Written[path]
	if info, err := os.Lstat(path); !ok || err != nil || !info.Mode().IsRegular() {
		return false
	}
	b, err := os.ReadFile(path)
	return err == nil && sumOf(b) == sum
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Place puts links to the VM's sockets where its template wants them, before its guest boots.
// The error is a *PermanentError when there is something else at such a path.
func Place(vm layout.VM) (Files, error) {
	f, err := readFiles(vm)
	if err != nil {
		return f, err
	}
	for _, p := range f.Paths {
		if err := p.free(vm, f); err != nil {
			return f, err
		}
	}
	if err := os.RemoveAll(filepath.Join(vm.Dir(), copiesDir)); err != nil { // those of an earlier run
		return f, err
	}
	for _, p := range f.Paths {
		if !p.Socket || p.Inside == p.Path {
			continue
		}
		if err := p.link(); err != nil {
			f.ReleaseAll(vm)
			return f, err
		}
	}
	return f, nil
}

// link creates a link at a free path to the socket, which will exist later.
func (p Path) link() error {
	if err := os.MkdirAll(filepath.Dir(p.Path), 0o700); err != nil {
		return lima.FieldError(p.Field, err)
	}
	if err := os.Remove(p.Path); err != nil && !errors.Is(err, fs.ErrNotExist) { // an old link or a dead socket
		return lima.FieldError(p.Field, err)
	}
	return lima.FieldError(p.Field, os.Symlink(p.Inside, p.Path))
}

// ReleaseAll removes the links of all paths, and the copies that are to go when the VM stops.
func (f Files) ReleaseAll(vm layout.VM) {
	for _, p := range f.Paths {
		f.release(vm, p)
	}
}

// CopyOut puts the files that Lima has fetched from the guest where the template wants them. It returns
// what went wrong, a text for each file.
func (f *Files) CopyOut(vm layout.VM) (wrong []string) {
	for _, p := range f.Paths {
		if p.Socket {
			continue
		}
		b, err := os.ReadFile(p.Inside)
		if errors.Is(err, fs.ErrNotExist) {
			continue // Lima has reported why
		}
		if err == nil {
			err = f.write(vm, p, b)
		}
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("the guest's file was not copied: %s", err))
		}
	}
	return wrong
}

func (f *Files) write(vm layout.VM, p Path, b []byte) error {
	if err := p.free(vm, *f); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(p.Path), 0o700); err != nil {
		return err
	}
	if layout.Exists(p.Path) {
		if f.unchanged(p.Path) {
			if err := os.Remove(p.Path); err != nil {
				return err
			}
		} else if err := putAside(p.Path); err != nil {
			return err
		}
	}
	f.Written[p.Path] = sumOf(b)
	if err := f.save(vm); err != nil { // before the file is written, so that it is known to be ours in any case
		return err
	}
	return p.create(b)
}

// create makes the file, and replaces none. A link to Lima's copy of it is there as a whole, even if the hostagent is killed;
// nobody uses that copy any more. There is no link to another file system.
func (p Path) create(b []byte) error {
	if err := os.Link(p.Inside, p.Path); err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	to, err := os.OpenFile(p.Path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = to.Write(b)
	return errors.Join(err, to.Close())
}

// putAside renames a file that somebody has changed since it was copied.
func putAside(path string) error {
	to := path + ".changed-" + time.Now().Format("20060102-150405")
	for layout.Exists(to) {
		to += "-"
	}
	logrus.Warnf("%s was changed since it was copied from the guest; it is kept as %s", path, to)
	return os.Rename(path, to)
}
