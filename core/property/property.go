// Package property knows the properties of the App that a user can set: their names, types and allowed values, as the App's
// definition says. The CLI uses it. It needs no service.
package property

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"rancherdesktop.io/rdd/internal/api/crds/files"
)

// Type is the type of a property's values.
type Type string

// The types.
const (
	String   Type = "string"
	Integer  Type = "integer"
	Boolean  Type = "boolean"
	Quantity Type = "quantity" // such as 8Gi
	List     Type = "list"
)

// Property is a property of the App.
type Property struct {
	Name        string   `json:"name"` // such as virtualMachine.memory
	Type        Type     `json:"type"`
	Values      []string `json:"values,omitempty"`  // the allowed values; empty: any of the type
	Default     any      `json:"default,omitempty"` // nil: none, or it depends on this computer
	Description string   `json:"description"`

	schema *schema
}

// schema has the fields that are used here of a JSON schema in a CustomResourceDefinition.
type schema struct {
	Type        string
	Description string
	Default     any
	Enum        []string
	Properties  map[string]*schema
	Required    []string
	Items       *schema
	Minimum     *int64
	Maximum     *int64
	MinLength   int
	MaxLength   int
	MaxItems    int
	Pattern     string
	IntOrString bool   `json:"x-kubernetes-int-or-string"`
	ListType    string `json:"x-kubernetes-list-type"`
}

// definition is the file with the App's definition.
const definition = "app.rancherdesktop.io_apps.yaml"

// commands are the fields of the App's spec that commands set, with these commands.
var commands = map[string]string{
	"running":     "rdd start or rdd stop",
	"restartedAt": "rdd restart",
	"resetAt":     "rdd reset",
	"stopMode":    "rdd stop --force",
}

// unavailable are the properties that the control plane refuses to set in this version. They are not proposed.
var unavailable = []string{"kubernetes.enabled", "kubernetes.version"}

// All returns the properties, ordered by name.
func All() ([]Property, error) {
	text, err := files.All.ReadFile(definition)
	if err != nil {
		return nil, err
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema schema `json:"openAPIV3Schema"`
				}
			}
		}
	}
	if err := yaml.Unmarshal(text, &crd); err != nil {
		return nil, fmt.Errorf("embedded %s: %w", definition, err)
	}
	if len(crd.Spec.Versions) != 1 || crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"] == nil {
		return nil, fmt.Errorf("embedded %s: has no schema of the spec", definition)
	}
	var all []Property
	for name, s := range crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"].Properties {
		if commands[name] == "" {
			all = append(all, s.properties(name)...)
		}
	}
	slices.SortFunc(all, func(a, b Property) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// properties returns the property with the name, or, of a group, those in it.
func (s *schema) properties(name string) (all []Property) {
	if s.Type == "object" {
		for inner, property := range s.Properties {
			all = append(all, property.properties(name+"."+inner)...)
		}
		return all
	}
	p := Property{Name: name, Type: Type(s.Type), Values: s.Enum, Default: s.Default, Description: s.Description, schema: s}
	switch {
	case s.IntOrString:
		p.Type = Quantity
	case s.Type == "array":
		p.Type = List
	case s.Type == "boolean":
		p.Values = []string{"true", "false"}
	}
	return []Property{p}
}

// Value returns the property's value in a spec; nil when it has none.
func (p *Property) Value(spec map[string]any) any {
	path := strings.Split(p.Name, ".")
	for _, group := range path[:len(path)-1] {
		inner, ok := spec[group].(map[string]any)
		if !ok {
			return nil
		}
		spec = inner
	}
	return spec[path[len(path)-1]]
}

// Change is a new value of a property.
type Change struct {
	Property Property
	Value    any // nil: the default
}

// Parse reads words such as virtualMachine.memory=8Gi. An empty value means the default. The error has one line for each
// wrong word.
func Parse(all []Property, words []string) (changes []Change, err error) {
	for _, word := range words {
		change, wrong := parse(all, word)
		if wrong == nil && slices.ContainsFunc(changes, func(c Change) bool { return c.Property.Name == change.Property.Name }) {
			wrong = fmt.Errorf("%s is set twice", change.Property.Name)
		}
		err = errors.Join(err, wrong)
		changes = append(changes, change)
	}
	if err != nil {
		return nil, err
	}
	return changes, nil
}

func parse(all []Property, word string) (Change, error) {
	name, text, ok := strings.Cut(word, "=")
	if name == "" || !ok {
		return Change{}, fmt.Errorf("expected PROPERTY=VALUE, such as virtualMachine.memory=8Gi; got %q", word)
	}
	i := slices.IndexFunc(all, func(p Property) bool { return p.Name == name })
	if i < 0 {
		return Change{}, unknown(all, name)
	}
	change := Change{Property: all[i]}
	if text == "" {
		return change, nil
	}
	var err error
	if change.Value, err = all[i].parse(text); err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return change, err
}

// unknown returns the error for a name that no property has.
func unknown(all []Property, name string) error {
	if command := commands[strings.TrimPrefix(name, "spec.")]; command != "" {
		return fmt.Errorf("%q is not a property; use: %s", name, command)
	}
	var inside []string
	for i := range all {
		if strings.HasPrefix(all[i].Name, name+".") {
			inside = append(inside, all[i].Name)
		}
	}
	if inside != nil {
		return fmt.Errorf("%q is a group of properties; set one of them: %s", name, strings.Join(inside, ", "))
	}
	if similar := Similar(all, name); similar != nil {
		return fmt.Errorf("there is no property %q; did you mean %s?", name, strings.Join(similar, " or "))
	}
	return fmt.Errorf("there is no property %q; the properties are: %s", name, strings.Join(names(all), ", "))
}

func names(all []Property) (names []string) {
	for i := range all {
		names = append(names, all[i].Name)
	}
	return names
}

// maxSimilar is the number of names that an error proposes.
const maxSimilar = 3

// Similar returns the names that are most like the given one, which no property has; nil if none is like it.
func Similar(all []Property, name string) []string {
	wanted := strings.ToLower(strings.TrimPrefix(name, "spec."))
	distances := map[string]int{}
	for i := range all {
		full := strings.ToLower(all[i].Name)
		last := full[strings.LastIndex(full, ".")+1:]
		switch {
		case full == wanted:
			return []string{all[i].Name}
		case last == wanted, last == wanted[strings.LastIndex(wanted, ".")+1:]:
			distances[all[i].Name] = 1
		default:
			d := min(distance(full, wanted), distance(last, wanted[strings.LastIndex(wanted, ".")+1:])+1)
			if d <= max(2, len(last)/3) {
				distances[all[i].Name] = d
			}
		}
	}
	similar := slices.SortedFunc(maps.Keys(distances), func(a, b string) int {
		return cmp.Or(cmp.Compare(distances[a], distances[b]), strings.Compare(a, b))
	})
	best := slices.DeleteFunc(similar, func(name string) bool { return distances[name] > distances[similar[0]]+1 })
	if len(best) == 0 {
		return nil
	}
	return best[:min(len(best), maxSimilar)]
}

// distance is the number of letters to insert, remove or replace to get from a to b (Levenshtein's distance).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Spec returns the changes as a merge patch of the App's spec, in which null stands for the default.
func Spec(changes []Change) map[string]any {
	spec := map[string]any{}
	for _, change := range changes {
		path := strings.Split(change.Property.Name, ".")
		group := spec
		for _, name := range path[:len(path)-1] {
			inner, ok := group[name].(map[string]any)
			if !ok {
				inner = map[string]any{}
				group[name] = inner
			}
			group = inner
		}
		group[path[len(path)-1]] = change.Value
	}
	return spec
}

// Complete returns the ways to continue a word of a command line, as WORD or WORD, a tab and its description. A word that
// ends in = is followed by a value. Properties that are not available yet are left out.
func Complete(all []Property, typed string, done []string) (words []string) {
	name, value, hasValue := strings.Cut(typed, "=")
	for i := range all {
		p := &all[i]
		switch {
		case slices.Contains(unavailable, p.Name):
		case hasValue && p.Name == name:
			for _, known := range p.Values {
				if strings.HasPrefix(known, value) {
					words = append(words, p.Name+"="+known)
				}
			}
		case !hasValue && strings.HasPrefix(p.Name, typed) && !slices.ContainsFunc(done, func(word string) bool { return strings.HasPrefix(word, p.Name+"=") }):
			words = append(words, p.Name+"=\t"+p.Summary())
		}
	}
	return words
}

// Summary is the first sentence of the description.
func (p *Property) Summary() string {
	text := strings.Join(strings.Fields(p.Description), " ")
	if end := strings.Index(text, ". "); end >= 0 {
		return text[:end+1]
	}
	return text
}

// Syntax says which values are allowed.
func (p *Property) Syntax() string {
	switch {
	case len(p.Values) > 0:
		return strings.Join(p.Values, "|")
	case p.Type == Quantity:
		return "SIZE"
	case p.Type == Integer:
		return "NUMBER"
	case p.Type == List && p.schema.Items.Type == "object":
		item := p.schema.Items
		syntax := strings.ToUpper(item.key())
		for _, flag := range item.flags() {
			syntax += "[:" + flag[:1] + "]"
		}
		return syntax + ",..."
	case p.Type == List:
		return "VALUE,..."
	}
	return "TEXT"
}
