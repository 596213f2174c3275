package templatetext

import (
	"errors"
	"fmt"
	"iter"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"rancherdesktop.io/rdd/internal/host"
)

// Resources are the resources of this computer that a VM gets.
type Resources struct {
	CPUs   int   `json:"cpus"`
	Memory int64 `json:"memory"` // bytes
	Disk   int64 `json:"disk"`   // capacity of its disk in bytes
}

// defaultResources returns Lima's defaults.
// Source: defaultCPUs, defaultMemory and defaultDiskSizeAsString in Lima's pkg/limayaml.
func defaultResources() Resources {
	r := Resources{CPUs: min(4, runtime.NumCPU()), Memory: 4 << 30, Disk: 100 << 30}
	if m, err := host.MemoryOf(); err == nil && m.Total > 0 {
		r.Memory = min(r.Memory, int64(m.Total/2))
	}
	return r
}

// ResourcesOf reads the resources in a template.
func ResourcesOf(text string) (Resources, error) {
	r := defaultResources()
	var t struct {
		CPUs   *int    `yaml:"cpus"`
		Memory *string `yaml:"memory"`
		Disk   *string `yaml:"disk"`
	}
	if err := Unmarshal([]byte(text), &t); err != nil {
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

// WithResources returns the template with other resources. It edits only the values that differ, and keeps comments and
// everything else.
func WithResources(text string, r Resources) (string, error) {
	was, err := ResourcesOf(text)
	if err != nil {
		return "", err
	}
	for _, f := range []struct {
		key, value string
		same       bool
	}{
		{"cpus", fmt.Sprint(r.CPUs), r.CPUs == was.CPUs && isDecimal(text, "cpus")},
		{"memory", SizeText(r.Memory), r.Memory == was.Memory},
		{"disk", SizeText(r.Disk), r.Disk == was.Disk},
	} {
		if f.same {
			continue
		}
		if text, err = withScalar(text, f.key, f.value); err != nil {
			return "", err
		}
	}
	// withScalar doesn't understand all of YAML, so this checks its result.
	if now, err := ResourcesOf(text); err != nil || now != r {
		return "", errors.Join(errors.New("the resources in this template are written in a way that can't be changed here: edit its text"), err)
	}
	return text, nil
}

// topLevel lists the keys and values at the top level of a YAML document.
func topLevel(text string) (iter.Seq2[*token.Token, ast.Node], error) {
	file, err := parser.ParseBytes(Plain([]byte(text)), 0)
	if err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	return func(yield func(*token.Token, ast.Node) bool) {
		for _, doc := range file.Docs {
			top, ok := doc.Body.(ast.MapNode)
			if !ok {
				continue
			}
			for entry := top.MapRange(); entry.Next(); {
				if !yield(entry.Key().GetToken(), entry.Value()) {
					return
				}
			}
		}
	}, nil
}

// isDecimal reports whether the number of a key is an integer in decimal digits, or missing. Lima no longer accepts other
// numbers, such as 2.5 or 010.
func isDecimal(text, key string) bool {
	entries, err := topLevel(text)
	if err != nil {
		return true
	}
	for name, value := range entries {
		number, ok := value.(ast.ScalarNode)
		if !ok || name.Value != key {
			continue
		}
		written := number.GetToken().Value
		n, err := strconv.Atoi(written)
		if _, null := number.(*ast.NullNode); !null && (err != nil || strconv.Itoa(n) != written) {
			return false
		}
	}
	return true
}

// SizeText formats a size in bytes as in templates.
func SizeText(bytes int64) string {
	switch {
	case bytes > 0 && bytes%(1<<30) == 0:
		return fmt.Sprintf("%dGiB", bytes>>30)
	case bytes > 0 && bytes%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", bytes>>20)
	}
	return fmt.Sprintf("%dB", bytes)
}

// withScalar sets a key at the top level of a YAML document to a scalar, and changes nothing else.
func withScalar(text, key, value string) (string, error) {
	entries, err := topLevel(text)
	if err != nil {
		return "", err
	}
	indent := ""
	for name := range entries {
		indent = strings.Repeat(" ", name.Position.Column-1)
		if name.Value == key {
			lines := strings.SplitAfter(text, "\n")
			if name.Position.Line > len(lines) { // the parser also counts a lone CR as the end of a line
				return text, nil
			}
			// The value ends before a comment or the end of the line.
			line := regexp.MustCompile(`^([^:]*` + key + `[^:]*:).*?([ \t]+#[^\r\n]*)?(\r?\n?)$`)
			lines[name.Position.Line-1] = line.ReplaceAllString(lines[name.Position.Line-1], "${1} "+value+"${2}${3}")
			return strings.Join(lines, ""), nil
		}
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return fmt.Sprintf("%s%s%s: %s\n", text, indent, key, value), nil
}
