package diagnose

import (
	"archive/tar"
	"bytes"
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
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/lifecycle"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/templatetext"
)

// Bundle contains what a user attaches to a bug report: logs, status and findings, without secrets.
type Bundle struct {
	Instance string       `json:"instance"`
	Version  string       `json:"version"`
	Created  time.Time    `json:"created"`
	Files    []BundleFile `json:"files"`

	redactor *diag.Redactor
}

// BundleFile is a file of a bundle.
type BundleFile struct {
	Name       string `json:"name"`
	Bytes      int    `json:"bytes"`
	Redactions int    `json:"redactions"`          // number of redacted secrets
	Truncated  bool   `json:"truncated,omitempty"` // the file is the end of a longer log

	text string
}

// maxBundleFile limits a file of a bundle, in bytes. Of a longer log, the bundle contains the end.
const maxBundleFile = 2 << 20

// BundleSuffixes lists the extensions that the name of a bundle can have.
func BundleSuffixes() []string { return []string{".tar.gz", ".tgz"} }

// CheckBundle reports why a bundle can't be written to path. It changes nothing.
func CheckBundle(path string) error {
	if !slices.ContainsFunc(BundleSuffixes(), func(s string) bool { return strings.HasSuffix(path, s) && filepath.Base(path) != s }) {
		return refused(path, fmt.Sprintf("its name must end in %s", strings.Join(BundleSuffixes(), " or ")))
	}
	if _, missing := os.Lstat(path); missing == nil {
		return refused(path, existsText)
	}
	return nil
}

const existsText = "this file exists and is not overwritten: choose another name"

func refused(path, why string) error {
	return &core.Error{Kind: core.Usage, Op: "write bundle", Object: path, Err: errors.New(why)}
}

// NewBundle collects the report and the logs, without secrets. It writes nothing.
func NewBundle(ctx context.Context, c *core.Core, r Report) (*Bundle, error) {
	inst, i := c.Instance(), inspect(ctx, c)
	b := &Bundle{
		Instance: inst.Name, Version: c.Version(), Created: time.Now().UTC().Truncate(time.Second),
		redactor: diag.NewRedactor(i.secrets(), inst.Home()),
	}
	for _, f := range []struct {
		name string
		data any
	}{{"findings.json", r}, {"status.json", i.status}, {"programs.json", programs(inst)}} {
		text, err := json.MarshalIndent(f.data, "", "  ")
		if err != nil {
			return nil, err
		}
		b.add(f.name, string(text)+"\n", false)
	}
	for v := range i.objects {
		text, err := yaml.Marshal(&i.objects[v]) // as YAML, in which a template is readable
		if err != nil {
			return nil, err
		}
		b.add("vms/"+i.objects[v].Name+"/object.yaml", string(text), false)
	}
	b.addFile("service/config.json", inst.ConfigFile())
	b.addFile("service/serve.json", inst.RecordFile())
	b.addDir("service", inst.LogDir())
	for _, name := range i.loggedVMs() {
		b.addVMFiles(layout.Of(inst, name))
	}
	return b, core.Failed("collect bundle for instance", inst.Name, context.Cause(ctx))
}

// loggedVMs names the VMs that have files or logs. The logs of a deleted VM can be kept.
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

// secrets returns this instance's credentials, which are redacted in each file of a bundle.
func (i *inspection) secrets() []string {
	var all []string
	if b, err := os.ReadFile(filepath.Join(i.inst.ControlPlaneDir(), instance.TokenFile)); err == nil {
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

func (b *Bundle) add(name, text string, truncated bool) {
	text, n := b.redactor.Text(text)
	b.Files = append(b.Files, BundleFile{Name: name, Bytes: len(text), Redactions: n, Truncated: truncated, text: text})
}

func (b *Bundle) addVMFiles(vm layout.VM) {
	folder := "vms/" + vm.Name
	if text, err := os.ReadFile(vm.LimaYAML()); err == nil {
		b.add(folder+"/lima.yaml", readableConfig(text), false)
	}
	b.addFile(folder+"/serial.log", vm.SerialLog())
	b.addDir(folder, vm.Logs)
}

// readableConfig formats Lima's configuration with one value on each line, which the redactor needs, too. It leaves out
// the script that repeats the values of env.
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

// addDir adds the files of a log directory, without its subdirectories.
func (b *Bundle) addDir(folder, dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		b.addFile(folder+"/"+e.Name(), filepath.Join(dir, e.Name()))
	}
}

// addFile adds the end of a file. A missing file is left out. In the place of a file that can't be read is the error.
func (b *Bundle) addFile(name, path string) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return
	}
	text, truncated, err := tail(path, maxBundleFile)
	if err != nil {
		text = err.Error() + "\n"
	}
	b.add(name, text, truncated)
}

// tail reads the last lines of a file, up to a number of bytes.
func tail(path string, limit int64) (text string, truncated bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", false, err
	}
	start := max(0, info.Size()-limit)
	b, err := io.ReadAll(io.NewSectionReader(f, start, limit))
	text = string(b)
	if _, rest, found := strings.Cut(text, "\n"); start > 0 && found {
		text = rest
	}
	return text, start > 0, err
}

// Redactions returns the number of redacted secrets in all files.
func (b *Bundle) Redactions() (n int) {
	for _, f := range b.Files {
		n += f.Redactions
	}
	return n
}

// Text returns the content of a file. ok is false when the bundle has no such file.
func (b *Bundle) Text(name string) (text string, ok bool) {
	for _, f := range b.Files {
		if f.Name == name {
			return f.text, true
		}
	}
	return "", false
}

// Write writes the bundle to a new file that only its owner can read. It overwrites no file, and leaves no part of a bundle
// at path, whose name the next attempt would refuse. Only where there are no hard links can a kill leave a part.
func (b *Bundle) Write(path string) error {
	if err := CheckBundle(path); err != nil {
		return err
	}
	var packed bytes.Buffer
	err := b.pack(&packed)
	if err == nil {
		err = writeNew(path, packed.Bytes())
	}
	if errors.Is(err, fs.ErrExist) {
		return refused(path, existsText)
	}
	return core.Failed("write bundle", path, err)
}

// writeNew writes a file that must not exist yet. Other users may write to its folder, too: no name is opened that may exist.
func writeNew(path string, data []byte) error {
	whole, err := os.CreateTemp(filepath.Dir(path), ".rdd-bundle-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(whole.Name()) }() // at most a leftover
	if err := fill(whole, data); err != nil {
		return err
	}
	if err := os.Link(whole.Name(), path); err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	// This file system has no hard links.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := fill(f, data); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// fill writes the content of a new file and closes it.
func fill(f *os.File, data []byte) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
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
