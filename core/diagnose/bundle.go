package diagnose

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/lifecycle"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/templatetext"
)

// Bundle is what a user hands to whoever helps: logs, status and findings, without secrets.
type Bundle struct {
	Instance string       `json:"instance"`
	Version  string       `json:"version"`
	Created  time.Time    `json:"created"`
	Files    []BundleFile `json:"files"`
}

// BundleFile is a file of a bundle.
type BundleFile struct {
	Name       string `json:"name"`
	Bytes      int    `json:"bytes"`
	Redactions int    `json:"redactions"`          // secrets that were taken out
	Truncated  bool   `json:"truncated,omitempty"` // only the end of a long log is there

	text string
}

// maxBundleFile is how much of a log is in a bundle: its end.
const maxBundleFile = 2 << 20

// BundleSuffixes are the endings of a bundle's file name.
func BundleSuffixes() []string { return []string{".tar.gz", ".tgz"} }

// CheckBundle says whether a bundle can be written to path. Nothing is changed.
func CheckBundle(path string) error {
	const op = "write bundle"
	if !slices.ContainsFunc(BundleSuffixes(), func(s string) bool { return strings.HasSuffix(path, s) && filepath.Base(path) != s }) {
		return &core.Error{Kind: core.Usage, Op: op, Object: path, Err: fmt.Errorf("its name must end in %s", strings.Join(BundleSuffixes(), " or "))}
	}
	if _, err := os.Lstat(path); err == nil {
		return &core.Error{Kind: core.Usage, Op: op, Object: path, Err: errors.New("this file exists and is not overwritten: choose another name")}
	}
	return nil
}

// NewBundle collects what r and the logs tell, without secrets. It writes nothing.
func NewBundle(ctx context.Context, c *core.Core, r Report) (*Bundle, error) {
	b := &Bundle{Instance: c.Instance().Name, Version: c.Version(), Created: time.Now().UTC().Truncate(time.Second)}
	i := inspect(ctx, c)
	clean := diag.NewRedactor(i.secrets(), c.Instance().Home())
	if err := b.addJSON(clean, "findings.json", r); err != nil {
		return nil, err
	}
	if err := b.addJSON(clean, "status.json", i.status); err != nil {
		return nil, err
	}
	if err := b.addJSON(clean, "programs.json", programs(c.Instance())); err != nil {
		return nil, err
	}
	for v := range i.objects {
		if err := b.addVM(clean, &i.objects[v]); err != nil {
			return nil, err
		}
	}
	b.addFile(clean, "service/config.json", c.Instance().ConfigFile())
	b.addFile(clean, "service/serve.json", c.Instance().RecordFile())
	b.addDir(clean, "service", c.Instance().LogDir())
	for _, name := range i.loggedVMs() {
		b.addVMFiles(clean, layout.Of(c.Instance(), name))
	}
	return b, core.Failed("collect bundle for instance", c.Instance().Name, context.Cause(ctx))
}

// loggedVMs names the VMs that have files or logs; those of a VM that is gone may be kept.
func (i *inspection) loggedVMs() []string {
	var names []string
	for _, vm := range i.files {
		names = append(names, vm.Name)
	}
	entries, _ := os.ReadDir(i.inst.VMLogDir())
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// secrets are this instance's credentials, which must not be in a bundle, in whatever log they stand.
func (i *inspection) secrets() []string {
	var all []string
	if b, err := os.ReadFile(filepath.Join(i.inst.ControlPlaneDir(), "token")); err == nil {
		all = append(all, string(b))
	}
	if config, err := i.core.RESTConfig(); err == nil {
		all = append(all, config.BearerToken)
	}
	config, _ := lifecycle.LoadConfig(i.inst)
	for part := range strings.SplitSeq(config.DatastoreEndpoint, ",") {
		if u, err := url.Parse(part); err == nil {
			password, _ := u.User.Password()
			all = append(all, password)
		}
	}
	return all
}

func (b *Bundle) add(clean *diag.Redactor, name, text string, truncated bool) {
	text, n := clean.Text(text)
	b.Files = append(b.Files, BundleFile{Name: name, Bytes: len(text), Redactions: n, Truncated: truncated, text: text})
}

func (b *Bundle) addJSON(clean *diag.Redactor, name string, data any) error {
	text, err := json.MarshalIndent(data, "", "  ")
	if err == nil {
		b.add(clean, name, string(text)+"\n", false)
	}
	return err
}

// addVM adds a VM's object, as YAML because a template is readable in it. Its params may be secrets.
func (b *Bundle) addVM(clean *diag.Redactor, vm *core.VM) error {
	text, err := yaml.Marshal(vm)
	if err == nil {
		b.add(clean, "vms/"+vm.Name+"/object.yaml", string(text), false)
	}
	return err
}

func (b *Bundle) addVMFiles(clean *diag.Redactor, vm layout.VM) {
	folder := "vms/" + vm.Name
	if text, err := os.ReadFile(vm.LimaYAML()); err == nil {
		b.add(clean, folder+"/lima.yaml", readableConfig(text), false)
	}
	b.addFile(clean, folder+"/serial.log", vm.SerialLog())
	b.addDir(clean, folder, vm.Logs)
}

// readableConfig is Lima's configuration with a line for each value, so that it can be read and what is secret
// told apart, and without the script that repeats the values of env.
func readableConfig(text []byte) string {
	var config map[string]any
	if err := yaml.Unmarshal(text, &config); err != nil {
		return string(text)
	}
	provision, _ := config["provision"].([]any)
	for _, p := range provision {
		if p, ok := p.(map[string]any); ok {
			if script, _ := p["script"].(string); strings.HasPrefix(script, templatetext.EnvScript) {
				p["script"] = templatetext.EnvScript
			}
		}
	}
	data, err := yaml.Marshal(config)
	if err != nil {
		return string(text)
	}
	return string(data)
}

// addDir adds the files of a log directory, but not those below it.
func (b *Bundle) addDir(clean *diag.Redactor, folder, dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		b.addFile(clean, folder+"/"+e.Name(), filepath.Join(dir, e.Name()))
	}
}

// addFile adds the end of a file. One that is missing is left out; one that can't be read says so.
func (b *Bundle) addFile(clean *diag.Redactor, name, path string) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return
	}
	text, truncated, err := tail(path, maxBundleFile)
	if err != nil {
		text = err.Error() + "\n"
	}
	b.add(clean, name, text, truncated)
}

// tail reads the end of a file, from the begin of a line.
func tail(path string, most int64) (text string, truncated bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", false, err
	}
	if truncated = info.Size() > most; truncated {
		if _, err := f.Seek(-most, io.SeekEnd); err != nil {
			return "", false, err
		}
	}
	b, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return "", false, err
	}
	text = string(b)
	if _, rest, found := strings.Cut(text, "\n"); truncated && found {
		text = rest
	}
	return text, truncated, nil
}

// Redactions is how many secrets were taken out in all.
func (b *Bundle) Redactions() (n int) {
	for _, f := range b.Files {
		n += f.Redactions
	}
	return n
}

// Text is what the file of that name holds; ok is false when the bundle has no such file.
func (b *Bundle) Text(name string) (text string, ok bool) {
	for _, f := range b.Files {
		if f.Name == name {
			return f.text, true
		}
	}
	return "", false
}

// Write writes the bundle to a new file that only its owner can read. A file that is there is not
// touched; one that could not be written whole is removed.
func (b *Bundle) Write(path string) (err error) {
	const op = "write bundle"
	if err := CheckBundle(path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return core.Failed(op, path, err)
	}
	err = b.pack(f)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return core.Failed(op, path, err)
}

// pack writes the manifest and the files.
func (b *Bundle) pack(w io.Writer) error {
	manifest, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	zipped := gzip.NewWriter(w)
	archive := tar.NewWriter(zipped)
	for _, f := range append([]BundleFile{{Name: "manifest.json", text: string(manifest) + "\n"}}, b.Files...) {
		header := &tar.Header{Name: "rdd-" + b.Instance + "/" + f.Name, Mode: 0o600, Size: int64(len(f.text)), ModTime: b.Created, Typeflag: tar.TypeReg}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.WriteString(archive, f.text); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), zipped.Close())
}
