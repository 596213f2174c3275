package page

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/template"
)

// The page's types are written by hand, in api.ts. These tests read that file and walk the Go types beside it.

// shape is a type of TypeScript, as far as api.ts uses them: a name, or what one is made of.
type shape struct {
	name   string            // of an interface or a basic type; "" for an object
	of     *shape            // element of array, Record or Partial
	kind   string            // "", array, record, partial
	fields map[string]*field // of an object
}

type field struct {
	optional bool
	shape    *shape
}

// reader reads the part of TypeScript that api.ts is written in.
type reader struct {
	tokens []string
	at     int
}

var tokenRE = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*|'[^']*'|[{}\[\]<>():;,?|=]`)
var commentRE = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)

func (r *reader) peek() string {
	if r.at < len(r.tokens) {
		return r.tokens[r.at]
	}
	return ""
}

func (r *reader) next() string { s := r.peek(); r.at++; return s }

func (r *reader) want(token string) {
	if got := r.next(); got != token {
		panic(fmt.Sprintf("want %q, got %q before %v", token, got, r.tokens[r.at:min(r.at+8, len(r.tokens))]))
	}
}

// contract is what api.ts says.
type contract struct {
	types   map[string]*shape
	methods map[string][2]*shape
}

func readContract(t *testing.T) contract {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "frontend", "src", "lib", "api.ts"))
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{tokens: tokenRE.FindAllString(commentRE.ReplaceAllString(string(text), ""), -1)}
	c := contract{map[string]*shape{}, map[string][2]*shape{}}
	for r.peek() != "" {
		r.want("export")
		kind, name := r.next(), r.next()
		switch {
		case kind == "type":
			r.want("=")
			c.types[name] = r.shape()
			if r.peek() == ";" {
				r.next()
			}
		case name == "Methods":
			r.want("{")
			for r.peek() != "}" {
				method := strings.Trim(r.next(), "'")
				r.want(":")
				r.want("[")
				params := r.shape()
				r.want(",")
				c.methods[method] = [2]*shape{params, r.shape()}
				r.want("]")
				if r.peek() == ";" {
					r.next()
				}
			}
			r.want("}")
		default:
			c.types[name] = r.shape()
		}
	}
	return c
}

func (r *reader) shape() *shape {
	s := r.single()
	for r.peek() == "[" {
		r.next()
		r.want("]")
		s = &shape{kind: "array", of: s}
	}
	for r.peek() == "|" { // of strings: their type is what counts
		r.next()
		r.single()
	}
	return s
}

func (r *reader) single() *shape {
	switch token := r.next(); {
	case token == "{":
		s := &shape{fields: map[string]*field{}}
		for r.peek() != "}" {
			name := r.next()
			f := &field{}
			if r.peek() == "?" {
				r.next()
				f.optional = true
			}
			r.want(":")
			f.shape = r.shape()
			s.fields[name] = f
			for r.peek() == ";" || r.peek() == "," {
				r.next()
			}
		}
		r.want("}")
		return s
	case strings.HasPrefix(token, "'"):
		return &shape{name: "string"}
	case token == "Record":
		r.want("<")
		r.want("string")
		r.want(",")
		s := &shape{kind: "record", of: r.shape()}
		r.want(">")
		return s
	case token == "Partial":
		r.want("<")
		s := &shape{kind: "partial", of: r.shape()}
		r.want(">")
		return s
	default:
		return &shape{name: token}
	}
}

// compare says where a Go type differs from a shape.
func (c contract) compare(path string, s *shape, t reflect.Type) (differences []string) {
	differ := func(format string, a ...any) {
		differences = append(differences, path+": "+fmt.Sprintf(format, a...))
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case s.kind == "array":
		if t.Kind() != reflect.Slice {
			differ("an array is %s in Go", t)
			return
		}
		return c.compare(path+"[]", s.of, t.Elem())
	case s.kind == "record":
		if t.Kind() != reflect.Map {
			differ("a Record is %s in Go", t)
			return
		}
		return c.compare(path+"{}", s.of, t.Elem())
	case s.kind == "partial":
		whole := c.types[s.of.name]
		some := &shape{fields: map[string]*field{}}
		for name, f := range whole.fields {
			some.fields[name] = &field{true, f.shape}
		}
		return c.compare(path, some, t)
	case s.name == "string":
		if t.Kind() != reflect.String && t != reflect.TypeFor[time.Time]() {
			differ("a string is %s in Go", t)
		}
		return
	case s.name == "number":
		if !slices.Contains([]reflect.Kind{reflect.Int, reflect.Int64, reflect.Float64}, t.Kind()) {
			differ("a number is %s in Go", t)
		}
		return
	case s.name == "boolean":
		if t.Kind() != reflect.Bool {
			differ("a boolean is %s in Go", t)
		}
		return
	case s.name != "":
		known, ok := c.types[s.name]
		if !ok {
			differ("there is no type %s", s.name)
			return
		}
		return c.compare(path, known, t)
	}
	if t.Kind() != reflect.Struct {
		differ("an object is %s in Go", t)
		return
	}
	have := map[string]jsonField{}
	for _, f := range fieldsOf(t) {
		have[f.name] = f
	}
	for _, name := range slices.Sorted(maps.Keys(s.fields)) {
		f, ok := have[name]
		switch {
		case !ok:
			differ("%s has no field %s", t, name)
		case f.optional != s.fields[name].optional:
			differ("%s of %s: optional in Go: %t, in api.ts: %t", name, t, f.optional, s.fields[name].optional)
		default:
			differences = append(differences, c.compare(path+"."+name, s.fields[name].shape, f.kind)...)
		}
	}
	for name := range have {
		if _, ok := s.fields[name]; !ok {
			differ("%s of %s is not in api.ts", name, t)
		}
	}
	return differences
}

func TestGoAndTypeScriptSayTheSame(t *testing.T) {
	c := readContract(t)
	if len(c.types) < 20 || len(c.methods) < 35 {
		t.Fatalf("read only %d types and %d methods", len(c.types), len(c.methods))
	}
	seen := map[string]bool{}
	for _, m := range methods() {
		seen[m.name] = true
		shapes, ok := c.methods[m.name]
		if !ok {
			t.Errorf("%s is not in api.ts", m.name)
			continue
		}
		for _, difference := range append(c.compare(m.name+"(params)", shapes[0], m.params), c.compare(m.name+"(result)", shapes[1], m.result)...) {
			t.Error(difference)
		}
	}
	for name := range c.methods {
		if !seen[name] {
			t.Errorf("%s is not in Go", name)
		}
	}
	for name, typ := range map[string]reflect.Type{"Stream": reflect.TypeFor[Stream](), "Problem": reflect.TypeFor[Problem]()} {
		for _, difference := range c.compare(name, c.types[name], typ) {
			t.Error(difference)
		}
	}
}

// The test above finds what it is for.
func TestADriftIsFound(t *testing.T) {
	c := contract{types: map[string]*shape{}}
	parse := func(text string) *shape {
		r := &reader{tokens: tokenRE.FindAllString(text, -1)}
		return r.shape()
	}
	type thing struct {
		Name string   `json:"name"`
		Size int      `json:"size,omitempty"`
		Tags []string `json:"tags"`
	}
	if d := c.compare("x", parse("{ name: string; size?: number; tags: string[] }"), reflect.TypeFor[thing]()); len(d) != 0 {
		t.Error(d)
	}
	for _, text := range []string{
		"{ name: string; size: number; tags: string[] }", "{ name: number; size?: number; tags: string[] }", "{ size?: number; tags: string[] }",
		"{ name: string; size?: number; tags: string[]; more: boolean }", "{ name: string; size?: number; tags: number[] }", "{ name: string; size?: number; tags: string }",
		"{ name: string; size?: number; tags: Record<string, string> }",
	} {
		if d := c.compare("x", parse(text), reflect.TypeFor[thing]()); len(d) == 0 {
			t.Errorf("not found: %s", text)
		}
	}
}

func TestParametersAreReadStrictly(t *testing.T) {
	for _, tc := range []struct{ raw, field string }{
		{`{}`, "name"},
		{``, "name"},
		{`{"name": null, "template": "x", "start": true}`, "name"},
		{`{"name": "a", "template": "x", "start": "yes"}`, "start"},
		{`{"name": "a", "template": "x", "start": true, "colour": 1}`, "colour"},
		{`{"name": "a", "template": "x", "start": true, "resources": {"cpus": 1, "memory": 1}}`, "resources.disk"},
		{`{"name": "a", "template": "x", "start": true, "resources": {"cpus": 1.5, "memory": 1, "disk": 1}}`, "resources.cpus"},
		{`{"name": "a", "template": "x", "start": true, "resources": {"cpus": 1, "memory": 1, "disk": 1, "gpus": 1}}`, "resources.gpus"},
		{`{"name": "a", "template": "x", "start": true, "params": {"k": 1}}`, "params"},
	} {
		var p createParams
		problem := problemOf(decode([]byte(tc.raw), &p))
		if problem.Kind != "usage" || problem.Field != tc.field || !strings.Contains(problem.Message, tc.field) {
			t.Errorf("%s: %+v", tc.raw, problem)
		}
	}
	var p createParams
	if err := decode([]byte(`{"name": "a", "template": "x", "start": true, "resources": {"cpus": 1, "memory": 2, "disk": 3}}`), &p); err != nil || p.Resources == nil || *p.Resources != (template.Resources{CPUs: 1, Memory: 2, Disk: 3}) {
		t.Error(p, err)
	}
	if err := decode([]byte(`[1]`), &p); core.KindOf(err) != core.Usage {
		t.Error(err)
	}
	if err := decode([]byte(`{`), &p); core.KindOf(err) != core.Usage {
		t.Error(err)
	}
}

func TestListsAreNeverNull(t *testing.T) {
	b, err := json.Marshal(newTestAPI(t).State())
	if err != nil || strings.Contains(string(b), "null") {
		t.Errorf("%v %s", err, b)
	}
}
