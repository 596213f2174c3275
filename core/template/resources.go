// Package template reads and changes the text of Lima templates: their params and resources, what a change of
// them means for a running VM, and which ones ship with RDD. core and the clients use it.
package template

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"rancherdesktop.io/rdd/internal/host"
	"rancherdesktop.io/rdd/internal/templatetext"
)

// Resources are what a VM gets of this computer.
type Resources struct {
	CPUs   int   `json:"cpus"`
	Memory int64 `json:"memory"` // bytes
	Disk   int64 `json:"disk"`   // bytes that its disk can hold
}

// defaultResources are what Lima gives a VM whose template doesn't say.
// Source: defaultCPUs, defaultMemory and defaultDiskSizeAsString in Lima's pkg/limayaml.
func defaultResources() Resources {
	r := Resources{CPUs: min(4, runtime.NumCPU()), Memory: 4 << 30, Disk: 100 << 30}
	if m, err := host.MemoryOf(); err == nil && m.Total > 0 {
		r.Memory = min(r.Memory, int64(m.Total/2))
	}
	return r
}

// ResourcesOf reads what a template gives a VM.
func ResourcesOf(text string) (Resources, error) {
	r := defaultResources()
	var t struct {
		CPUs   *int    `yaml:"cpus"`
		Memory *string `yaml:"memory"`
		Disk   *string `yaml:"disk"`
	}
	if err := templatetext.Unmarshal([]byte(text), &t); err != nil {
		return r, fmt.Errorf("read the template: %w", err)
	}
	if t.CPUs != nil && *t.CPUs != 0 {
		r.CPUs = *t.CPUs
	}
	for _, size := range []struct {
		field string
		text  *string
		value *int64
	}{{"memory", t.Memory, &r.Memory}, {"disk", t.Disk, &r.Disk}} {
		if size.text == nil || *size.text == "" {
			continue
		}
		n, err := units.RAMInBytes(*size.text)
		if err != nil {
			return r, fmt.Errorf("read the template: %s: %w", size.field, err)
		}
		*size.value = n
	}
	return r, nil
}

// WithResources returns the template with other resources. What stays the same stays as it is written,
// and so do comments and everything else.
func WithResources(text string, r Resources) (string, error) {
	was, err := ResourcesOf(text)
	if err != nil {
		return "", err
	}
	for _, f := range []struct {
		key, value string
		same       bool
	}{
		{"cpus", fmt.Sprint(r.CPUs), r.CPUs == was.CPUs && writtenPlainly(text, "cpus")},
		{"memory", sizeText(r.Memory), r.Memory == was.Memory},
		{"disk", sizeText(r.Disk), r.Disk == was.Disk},
	} {
		if f.same {
			continue
		}
		if text, err = withScalar(text, f.key, f.value); err != nil {
			return "", err
		}
	}
	// The text was changed where the parser says that the values are; this makes sure of it.
	if now, err := ResourcesOf(text); err != nil || now != r {
		return "", errors.Join(errors.New("this template is written in a way in which its resources can't be changed here: edit its text"), err)
	}
	return text, nil
}

// writtenPlainly says whether the number at a key is written in decimal digits, or left out. Others, such
// as 2.5 or 010, are refused by now.
func writtenPlainly(text, key string) bool {
	file, err := parser.ParseBytes([]byte(text), 0)
	if err != nil {
		return true
	}
	for _, doc := range file.Docs {
		top, ok := doc.Body.(ast.MapNode)
		if !ok {
			continue
		}
		for entry := top.MapRange(); entry.Next(); {
			number, ok := entry.Value().(ast.ScalarNode)
			if !ok || entry.Key().GetToken().Value != key {
				continue
			}
			written := number.GetToken().Value
			n, err := strconv.Atoi(written)
			if _, null := number.(*ast.NullNode); !null && (err != nil || strconv.Itoa(n) != written) {
				return false
			}
		}
	}
	return true
}

// sizeText writes a size as a template does. Lima reads all of these.
func sizeText(bytes int64) string {
	switch {
	case bytes > 0 && bytes%(1<<30) == 0:
		return fmt.Sprintf("%dGiB", bytes>>30)
	case bytes > 0 && bytes%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", bytes>>20)
	}
	return fmt.Sprintf("%dB", bytes)
}

// withScalar gives a key at the top of a YAML document a plain value, and changes nothing else.
func withScalar(text, key, value string) (string, error) {
	file, err := parser.ParseBytes(templatetext.Plain([]byte(text)), 0)
	if err != nil {
		return "", fmt.Errorf("read the template: %w", err)
	}
	indent := ""
	for _, doc := range file.Docs {
		top, ok := doc.Body.(ast.MapNode)
		if !ok {
			continue
		}
		for entry := top.MapRange(); entry.Next(); {
			at := entry.Key().GetToken().Position
			indent = strings.Repeat(" ", at.Column-1)
			if entry.Key().GetToken().Value == key {
				return replaceOnLine(text, at.Line, key, value), nil
			}
		}
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return fmt.Sprintf("%s%s%s: %s\n", text, indent, key, value), nil
}

// replaceOnLine replaces the value of the key on a line, counted from 1, and keeps the comment behind it.
func replaceOnLine(text string, line int, key, value string) string {
	lines := strings.SplitAfter(text, "\n")
	if line < 1 || line > len(lines) {
		return text
	}
	old := lines[line-1]
	begin := strings.Index(old, key)
	colon := strings.Index(old, ":")
	if begin < 0 || colon < begin {
		return text
	}
	rest := strings.TrimRight(old[colon+1:], "\r\n")
	ending := old[colon+1+len(rest):]
	comment := ""
	if at := strings.Index(rest, " #"); at >= 0 {
		for at > 0 && (rest[at-1] == ' ' || rest[at-1] == '\t') {
			at--
		}
		comment = rest[at:]
	}
	lines[line-1] = old[:colon+1] + " " + value + comment + ending
	return strings.Join(lines, "")
}
