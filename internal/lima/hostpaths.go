package lima

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/store/filenames"
	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/atomicfile"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// hostPath is a socket or a file that a template puts on the host. Lima removes whatever is at such a
// path, folders with all that is in them. So Lima gets a path in the VM's own directory, and the
// hostagent puts a link to the socket, or a copy of the file, where the template wants it.
type hostPath struct {
	Field        string `json:"field"` // of the template
	Path         string `json:"path"`
	Inside       string `json:"inside"` // where Lima makes it
	Socket       bool   `json:"socket,omitempty"`
	DeleteOnStop bool   `json:"deleteOnStop,omitempty"`
}

// copiesDir is below the VM's directory. Lima copies the guest's files there.
const copiesDir = "rdd.copies"

// hostPathsOf lists what a template puts on the host. The error is a *PermanentError for a path that can't be
// meant, whatever is there.
func hostPathsOf(vm layout.VM, y, full *limayaml.LimaYAML) ([]hostPath, error) {
	var paths []hostPath
	for i, rule := range y.PortForwards {
		if rule.HostSocket == "" || rule.Reverse || *full.Plain {
			continue
		}
		written := rule.HostSocket
		limayaml.FillPortForwardDefaults(&rule, vm.Dir(), full.User, full.Param)
		p := hostPath{Field: fmt.Sprintf("portForwards[%d].hostSocket", i), Path: filepath.Clean(rule.HostSocket), Socket: true}
		p.Inside = filepath.Join(vm.Dir(), filenames.SocketDir, fmt.Sprintf("rdd-%d.sock", i))
		if isBelow(p.Path, filepath.Join(vm.Dir(), filenames.SocketDir)) || runtime.GOOS == "windows" {
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
		p := hostPath{Field: fmt.Sprintf("copyToHost[%d].host", i), Path: rule.HostFile, DeleteOnStop: rule.DeleteOnStop}
		p.Inside = filepath.Join(vm.Dir(), copiesDir, fmt.Sprint(i))
		if err := p.check(vm, written); err != nil {
			return nil, err
		}
		p.Path = filepath.Clean(p.Path)
		paths = append(paths, p)
	}
	return paths, checkApart(paths)
}

// check judges a path without a look at what is there. It was written so in the template.
func (p hostPath) check(vm layout.VM, written string) error {
	switch {
	case strings.Contains(written, "{{") && (written == p.Path || strings.Contains(p.Path, "{{") || strings.Contains(p.Path, "<no value>")):
		return &PermanentError{p.Field, fmt.Errorf("%q can't be filled in: {{.Dir}}, {{.Home}}, {{.Name}}, {{.User}}, {{.UID}}, {{.TempDir}} and {{.Param.NAME}} are known", written)}
	case strings.HasPrefix(written, "~"):
		return &PermanentError{p.Field, fmt.Errorf("%q: ~ stands for nothing here: write {{.Home}}, or an absolute path", written)}
	case !filepath.IsAbs(p.Path):
		return &PermanentError{p.Field, fmt.Errorf("must be an absolute path; got %q", written)}
	case strings.HasSuffix(written, "/"):
		return &PermanentError{p.Field, fmt.Errorf("%q is a folder: name the %s to make in it", written, p.kind())}
	}
	path, home, dir := resolveLinks(p.Path), resolveLinks(vm.Home), resolveLinks(vm.Dir())
	if path == home || isBelow(home, path) || isBelow(path, home) && !isBelow(filepath.Dir(path), dir) || isBelow(path, filepath.Join(dir, copiesDir)) {
		return &PermanentError{p.Field, fmt.Errorf("%s is among RDD's own files: choose another path, or one in a folder of the VM's directory, such as {{.Dir}}/%s", p.Path, p.example())}
	}
	return nil
}

func (p hostPath) kind() string {
	if p.Socket {
		return "socket"
	}
	return "file"
}

func (p hostPath) example() string {
	if p.Socket {
		return filenames.SocketDir + "/NAME.sock"
	}
	return "copied-from-guest/NAME"
}

// checkApart says whether two of the paths are the same, or one is in the other.
func checkApart(paths []hostPath) error {
	for i, p := range paths {
		for _, q := range paths[:i] {
			a, b := resolveLinks(p.Path), resolveLinks(q.Path)
			if a == b || isBelow(a, b) || isBelow(b, a) || p.Path == q.Inside || p.Inside == q.Path {
				return &PermanentError{p.Field, fmt.Errorf("%s is where %s goes already: choose another path", p.Path, q.Field)}
			}
		}
	}
	return nil
}

// isBelow says whether path is in the folder dir, at any depth. Both are clean.
func isBelow(path, dir string) bool {
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

// hostFiles is the account of what a VM has on the host, kept outside its directory.
type hostFiles struct {
	Paths   []hostPath        `json:"paths"`
	Written map[string]string `json:"written,omitempty"` // files that the VM has made, with their SHA-256
}

func readHostFiles(vm layout.VM) (hostFiles, error) {
	var f hostFiles
	b, err := atomicfile.Read(vm.HostFiles())
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err == nil && json.Unmarshal(b, &f) != nil {
		return hostFiles{}, nil // nothing is then known to be the VM's own
	}
	return f, err
}

func (f hostFiles) save(vm layout.VM) error { return atomicfile.WriteJSON(vm.HostFiles(), f) }

// checkFree says whether each path can be used: nothing is there, or what this VM has put there. A VM
// that has no name yet has put nothing anywhere.
func checkFree(vm layout.VM, named bool, paths []hostPath) error {
	var mine hostFiles
	if named {
		var err error
		if mine, err = readHostFiles(vm); err != nil {
			return err
		}
	}
	for _, p := range paths {
		if !named && isBelow(p.Path, vm.Dir()) {
			continue // there is no such directory yet
		}
		if err := p.free(vm, mine); err != nil {
			return err
		}
	}
	return nil
}

func (p hostPath) free(vm layout.VM, mine hostFiles) error {
	info, err := os.Lstat(p.Path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return p.canMakeFolder()
	}
	if err != nil {
		return p.taken("can't be looked at: " + err.Error())
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		return p.taken("is a folder")
	case mode&fs.ModeSymlink != 0:
		if p.linkOf(vm) || p.Socket && abandoned(p.Path) {
			return nil
		}
		return p.taken("is a symbolic link")
	case mode&fs.ModeSocket != 0 && p.Socket:
		if p.Path == p.Inside || dead(p.Path) {
			return nil
		}
		return p.taken("is the socket of a program that runs")
	case mode.IsRegular() && !p.Socket:
		if _, ok := mine.Written[p.Path]; ok {
			return nil
		}
		return p.taken("is a file that this VM has not made")
	case mode.IsRegular():
		return p.taken("is a file")
	}
	return p.taken("is not a " + p.kind())
}

// canMakeFolder says whether the folder of a path that doesn't exist can be there.
func (p hostPath) canMakeFolder() error {
	for dir := filepath.Dir(p.Path); ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			return &PermanentError{p.Field, fmt.Errorf("%s can't be made: %s is not a folder", p.Path, dir)}
		}
		if err == nil || filepath.Dir(dir) == dir {
			return nil
		}
	}
}

func (p hostPath) taken(is string) error {
	return &PermanentError{p.Field, fmt.Errorf("%s %s. RDD removes nothing to make room: choose a path where nothing is, or move it away", p.Path, is)}
}

// linkOf says whether the path is a link to a socket of the VM, whatever the link's number.
func (p hostPath) linkOf(vm layout.VM) bool {
	to, err := os.Readlink(p.Path)
	return err == nil && p.Socket && isBelow(to, filepath.Join(vm.Dir(), filenames.SocketDir))
}

// abandoned says whether a link leads to where a VM of RDD had a socket, and that VM has gone or was killed.
func abandoned(path string) bool {
	to, err := os.Readlink(path)
	if err != nil || layout.Exists(to) || !strings.HasPrefix(filepath.Base(to), "rdd-") || filepath.Base(filepath.Dir(to)) != filenames.SocketDir {
		return false
	}
	dir := filepath.Dir(filepath.Dir(to))
	other := layout.VM{Home: filepath.Dir(dir), Name: filepath.Base(dir)}
	held, err := proc.Held(other.HostagentLock())
	return !held && err == nil
}

// dead says whether nobody listens at a socket. Nothing is lost with it.
func dead(path string) bool {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// keepHostPaths notes what the VM puts on the host, and removes what it has put elsewhere before. The
// caller holds the VM's disk lock, and no hostagent of it lives.
func keepHostPaths(vm layout.VM, paths []hostPath) error {
	old, err := readHostFiles(vm)
	if err != nil {
		return err
	}
	if len(paths) == 0 && len(old.Paths) == 0 && len(old.Written) == 0 {
		return nil
	}
	now := hostFiles{Paths: paths, Written: map[string]string{}}
	for _, p := range paths {
		if sum, ok := old.Written[p.Path]; ok {
			now.Written[p.Path] = sum
		}
	}
	for _, p := range old.Paths {
		if !slices.ContainsFunc(paths, func(q hostPath) bool { return q.Path == p.Path }) {
			old.release(vm, p)
		}
	}
	return now.save(vm)
}

// releaseHostPaths removes what a VM whose disk goes has left on the host. Copies that are to stay are
// still known as the VM's own, since its next disk may come with the same template.
func releaseHostPaths(vm layout.VM) error {
	f, err := readHostFiles(vm)
	if err != nil {
		return err
	}
	f.releaseAll(vm)
	f.Paths = nil
	maps.DeleteFunc(f.Written, func(path, _ string) bool { return !layout.Exists(path) })
	if len(f.Written) > 0 {
		return f.save(vm)
	}
	if err := os.Remove(vm.HostFiles()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// release removes the link at p, or the copy that is to go when the VM stops. What somebody has changed stays.
func (f hostFiles) release(vm layout.VM, p hostPath) {
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

// unchanged says whether a file is just as the VM wrote it.
func (f hostFiles) unchanged(path string) bool {
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

// placeHostPaths puts links to the VM's sockets where its template wants them, before its guest boots.
// The error is a *PermanentError when something else is there.
func placeHostPaths(vm layout.VM) (hostFiles, error) {
	f, err := readHostFiles(vm)
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
			f.releaseAll(vm)
			return f, err
		}
	}
	return f, nil
}

// link puts a link to the socket that is to come at a path that is free.
func (p hostPath) link() error {
	if err := os.MkdirAll(filepath.Dir(p.Path), 0o700); err != nil {
		return &PermanentError{p.Field, err}
	}
	if err := os.Remove(p.Path); err != nil && !errors.Is(err, fs.ErrNotExist) { // an old link or a dead socket
		return &PermanentError{p.Field, err}
	}
	if err := os.Symlink(p.Inside, p.Path); err != nil {
		return &PermanentError{p.Field, err}
	}
	return nil
}

func (f hostFiles) releaseAll(vm layout.VM) {
	for _, p := range f.Paths {
		f.release(vm, p)
	}
}

// copyOut puts the files that Lima has fetched from the guest where the template wants them. It returns
// what went wrong, a text for each file.
func (f *hostFiles) copyOut(vm layout.VM) (wrong []string) {
	for _, p := range f.Paths {
		if p.Socket {
			continue
		}
		b, err := os.ReadFile(p.Inside)
		if errors.Is(err, fs.ErrNotExist) {
			continue // Lima has said why
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

func (f *hostFiles) write(vm layout.VM, p hostPath, b []byte) error {
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
	if f.Written == nil {
		f.Written = map[string]string{}
	}
	f.Written[p.Path] = sumOf(b)
	if err := f.save(vm); err != nil { // first, so that the file is known to be ours in any case
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
