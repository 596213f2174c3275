//go:build unix

package template

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/lima/limatest"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// verdictOf returns the field and the message of an error; empty if the template was accepted.
func verdictOf(t *testing.T, err error) string {
	if err == nil {
		return ""
	}
	if p, ok := errors.AsType[*lima.PermanentError](err); ok {
		return p.Error()
	}
	t.Fatalf("no verdict: %v", err)
	return ""
}

// oneVerdict validates a template in every way in which it can come in, and fails unless the results are the same.
func oneVerdict(t *testing.T, vm layout.VM, text string, params map[string]string) {
	t.Helper()
	want := verdictOf(t, Validate(vm, []byte(text), params, false))
	differs := func(way, got string) {
		if got != want {
			t.Errorf("%s:\n\t%q\notherwise:\n\t%q\nthe template:\n%s", way, got, want, text)
		}
	}
	differs("as root", verdictOf(t, Validate(vm, []byte(text), params, true)))
	if want == "" {
		sameMeaning(t, vm, text, params)
	}
	y, err := decode([]byte(text))
	if err != nil || len(text) == 0 {
		return
	}
	if hasParts(y) || slices.ContainsFunc(filesOf(y), usedFile.relative) {
		return // these mean something in a file alone
	}
	path := filepath.Join(t.TempDir(), "vm.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	read, err := Read(t.Context(), path)
	if err == nil {
		err = Validate(vm, read, params, false)
	}
	differs("from a file", verdictOf(t, err))
	own := maps.Clone(y.Param)
	if own == nil {
		own = map[string]string{}
	}
	maps.Copy(own, params)
	differs("with its own params", verdictOf(t, Validate(vm, []byte(text), own, false)))
	differs("as it was completed", verdictOf(t, validateCompleted(vm, text, params)))
}

// validateCompleted completes a template and validates the result.
func validateCompleted(vm layout.VM, text string, params map[string]string) error {
	whole, err := Complete([]byte(text), params, false)
	if err != nil {
		return err
	}
	return Validate(vm, whole, nil, false)
}

// sameMeaning compares what Lima reads for root and for others: nothing but the guest's user may differ.
func sameMeaning(t *testing.T, vm layout.VM, text string, params map[string]string) {
	t.Helper()
	_, forUser, err := evaluate(vm, false, []byte(text), params, false)
	if err != nil {
		t.Fatal(err)
	}
	_, forRoot, err := evaluate(vm, false, []byte(text), params, true)
	if err != nil {
		t.Fatal(err)
	}
	user, root := forUser.Config, forRoot.Config
	for name, value := range params {
		if user.Param[name] != value {
			t.Errorf("the param %q is %q, not %q", name, user.Param[name], value)
		}
	}
	user.User, root.User = limayaml.User{}, limayaml.User{}
	if strings.Contains(text, "{{") {
		return // texts may name the user
	}
	for i := range user.Mounts { // the home directory of the user may be named
		user.Mounts[i].MountPoint, root.Mounts[i].MountPoint = nil, nil
	}
	if !reflect.DeepEqual(user, root) {
		t.Errorf("it means something else for root:\n%+v\n%+v\nthe template:\n%s", user, root, text)
	}
}

// minimal is the shortest template that is accepted.
const minimal = limatest.Template

// oddTemplates are ways to write a template that Lima, its YAML parsers or ours have read differently.
var oddTemplates = []string{
	"", "#\n", "hello", "[]", "{}", "---\n", "images: [\n",
	minimal,
	"\ufeff" + minimal,
	"%YAML 1.2\n---\n" + minimal,
	"%YAML 1.1\n%TAG ! tag:x,2000:\n--- # begins\n" + minimal + "...\n",
	strings.ReplaceAll(minimal+"provision:\n- script: |\n    #!/bin/sh\n    echo hi\n", "\n", "\r\n"),
	"images: &i [{location: /x}]\nfirmware: {images: *i}\n",
	"images:\n- &i\n  location: /x\n- *i\n- <<: *i\n  digest: ''\n",
	minimal + "env: {A: &a hello, B: *a}\n",
	minimal + "env: {A: *nowhere}\n",
	minimal + "env: {A: 010, B: 1.10, C: 0x10, D: True, E: ~, F: 2001-01-01, G: 1_000, H: .inf, I: !!str 5}\n",
	minimal + "provision: [{mode: data, path: /x, permissions: 0644, content: 010}]\n",
	minimal + "additionalDisks: [010, {name: data, fsArgs: [1.10]}]\n",
	"#\xff\nimages:\n",
	minimal + "message: !!binary aGVsbG8=\n",
	minimal + "message: \"\\u0085\\u2028\\ufeff\\x7f\\0\\U0001F600\\ud83d\\ude00\\t\"\n",
	minimal + "provision:\n- script: |2\n      #!/bin/sh\n     indented\n\n\n- script: >-\n    folded\n    text  \n",
	minimal + "provision:\n- script: \"#!/bin/sh\\r\\necho 1\\n\\n\"\n",
	minimal + "cpus: !!int 4\n",
	minimal + "cpus: 2.0\n",
	minimal + "dns: [~]\nhostResolver: {enabled: false}\n",
	minimal + "param: {A: ''}\nprovision: [{script: 'echo {{.Param.A}}'}]\n",
	minimal + "param: {A: x}\nprovision: [{script: 'echo $PARAM_A {{.User}}'}]\n",
	minimal + "portForwards: [{guestPortRange: [1], hostPortRange: [1, 2, 3]}]\n",
	minimal + "? cpus\n: 4\n",
	minimal + "a: &a [x, x]\nb: &b [*a, *a]\n",
	minimal + "additionalDisks: &a\n- name: x\n  fsArgs: []\n- *a\n",
	minimal + "env: &a {A: x, B: *a}\n",
	minimal + "cpus: 1\ncpus: 2\n",
	minimal + "\tcpus: 1\n",
	minimal + "{{.Dir}}: 1\n",
	minimal + "vmType: vz\n", minimal + "vmType: wsl2\n", minimal + "vmType: ''\n", minimal + "vmType: default\n",
	minimal + "os: ''\narch: ''\nmemory: ''\ndisk: ''\ncpus: 0\nmountType: ''\n",
}

func TestAFieldWithoutAValueIsAsIfItWereNotThere(t *testing.T) {
	vm := limatest.NewVM(t)
	for _, field := range []string{"mounts", "provision", "env", "param", "user", "ssh", "cpus", "memory", "vmType", "portForwards", "networks", "containerd", "dns", "base"} {
		for _, asRoot := range []bool{false, true} {
			if err := Validate(vm, []byte(minimal+field+":\n"), nil, asRoot); err != nil {
				t.Errorf("%s without a value, as root %v: %v", field, asRoot, err)
			}
		}
	}
}

// FuzzOneVerdict looks for a template that is accepted in one way and refused in another. The suite
// tries what it begins with; by hand: go test -tags grpcnotrace ./internal/lima/template -run - -fuzz OneVerdict
func FuzzOneVerdict(f *testing.F) {
	for i, text := range oddTemplates {
		f.Add(text, []string{"A", ""}[i%2], "b, \"c\" 'd' \\ {{x}} #")
	}
	vm := limatest.NewVM(f)
	f.Fuzz(func(t *testing.T, text, name, value string) {
		oneVerdict(t, vm, text, nil)
		oneVerdict(t, vm, text, map[string]string{name: value})
	})
}

// FuzzComposedTemplate does the same with templates that are made of Lima's fields and of odd values
// for them; a choice is a byte.
func FuzzComposedTemplate(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"))
	f.Add(bytes.Repeat([]byte{0, 1}, 200)) // no field has a value
	f.Add(bytes.Repeat([]byte{0, 9, 5}, 200))
	vm := limatest.NewVM(f)
	f.Fuzz(func(t *testing.T, choices []byte) {
		c := &composer{choices: choices}
		c.fields(reflect.TypeFor[limayaml.LimaYAML](), "")
		text := c.text.String()
		if !strings.Contains(text, "\nimages:") {
			text = minimal + text
		}
		oneVerdict(t, vm, text, nil)
		oneVerdict(t, vm, text, map[string]string{"A": "b"})
	})
}

// composer writes a template.
type composer struct {
	choices []byte
	text    strings.Builder
	anchors int
}

// choose takes the next choice; with none left it is always the last of n.
func (c *composer) choose(n int) int {
	if len(c.choices) == 0 {
		return n - 1
	}
	i := int(c.choices[0]) % n
	c.choices = c.choices[1:]
	return i
}

// fields writes some of the fields of a struct.
func (c *composer) fields(t reflect.Type, indent string) {
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous {
			continue
		}
		if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); c.choose(4) == 0 {
			c.text.WriteString(indent + name + ":")
			c.value(f.Type, indent+"  ")
		}
	}
}

// oddValues are plain values for any field.
var oddValues = []string{
	"", "~", "''", `""`, "010", "1.10", "-1", "0", "true", "no", "x", "/x", "2GiB", "127.0.0.1", "{}", "[]", "!!str 1", "!!int x", "'{{.Param.A}}'", `"\u0085\0"`,
	"|\n          #!/bin/sh\n          echo $PARAM_A\n", ">2+\n          a\n\n          b\n\n", "2001-01-01", "0x10", ".inf", "1_000", "é", "\"a\\tb\"", "a#b", "a #b", "<<", "=", "x86_64", "qemu", "default", "system", "data", "tcp",
}

// value writes a value for a field of t, most of the time one that fits.
func (c *composer) value(t reflect.Type, indent string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	how := c.choose(8)
	if how == 0 && c.anchors > 0 {
		fmt.Fprintf(&c.text, " *a%d\n", c.choose(c.anchors)+1)
		return
	}
	if how == 2 && !strings.HasSuffix(c.text.String(), "- ") {
		c.anchors++
		fmt.Fprintf(&c.text, " &a%d", c.anchors)
	}
	odd := how == 1
	switch {
	case t.Kind() == reflect.Struct && !odd:
		c.text.WriteString("\n")
		c.fields(t, indent)
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8 && !odd:
		c.text.WriteString("\n")
		for range c.choose(3) + 1 {
			c.text.WriteString(indent + "-")
			c.value(t.Elem(), indent+"  ")
		}
	case t.Kind() == reflect.Map && !odd:
		c.text.WriteString("\n" + indent + "A:")
		c.value(t.Elem(), indent+"  ")
	default:
		c.text.WriteString(" " + strings.TrimRight(oddValues[c.choose(len(oddValues))], "\n") + "\n")
	}
}
