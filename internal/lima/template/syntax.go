package template

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/yqutil"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/templatetext"
)

// parse reads b, which must be one YAML document with a map in it.
func parse(b []byte) (ast.Node, error) {
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, lima.Permanentf("the template is empty")
	}
	f, err := parser.ParseBytes(b, 0)
	if err != nil {
		return nil, yamlError(err, nil)
	}
	if err := templatetext.CheckAliases(f); err != nil {
		return nil, lima.Permanent(err)
	}
	// This parser accepts some texts that are no YAML, so Lima's second parser has to accept the text, too.
	if err := yqutil.ValidateContent(b); err != nil {
		return nil, lima.Permanentf("this is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var bodies []ast.Node
	for _, doc := range f.Docs {
		if doc.Body != nil {
			bodies = append(bodies, doc.Body)
		}
	}
	switch {
	case len(bodies) == 0:
		return nil, lima.Permanentf("the template holds nothing but comments")
	case len(bodies) > 1:
		return nil, lima.Permanentf("line %d: a second YAML document begins: a template is one document", bodies[1].GetToken().Position.Line)
	}
	if bodies[0].Type() != ast.MappingType && bodies[0].Type() != ast.MappingValueType {
		return nil, lima.Permanentf("this is not a Lima template: its top level must be a YAML map with fields such as images, cpus and memory")
	}
	return bodies[0], nil
}

// decode reads a template and refuses fields that Lima doesn't know; Lima itself only warns of them.
func decode(b []byte) (y *limayaml.LimaYAML, err error) {
	defer func() {
		if p := recover(); p != nil {
			y, err = nil, lima.Permanentf("this can't be read as YAML: the parser panics: %v", p)
		}
	}()
	if err := templatetext.CheckUTF8(b); err != nil {
		return nil, lima.Permanent(err)
	}
	b = templatetext.Plain(b)
	top, err := parse(b)
	if err != nil {
		return nil, err
	}
	locator := yaml.CustomUnmarshaler(orString(func(l *limayaml.LocatorWithDigest, s string) { l.URL = s }))
	if err := checkLiterals(top, reflect.TypeFor[limayaml.LimaYAML]()); err != nil {
		return nil, err
	}
	y = new(limayaml.LimaYAML)
	err = yaml.NodeToValue(top, y, yaml.Strict(),
		yaml.CustomUnmarshaler(orString(func(d *limayaml.Disk, s string) { d.Name = s })),
		locator,
		yaml.CustomUnmarshaler(orString(func(t *limayaml.BaseTemplates, s string) { *t = limayaml.BaseTemplates{{URL: s}} }, locator)),
	)
	if err != nil {
		return nil, yamlError(err, top)
	}
	return y, nil
}

// orString decodes a T that may be written as a plain string. parts decode types inside T. A part for T itself would
// recurse without end.
func orString[T any](set func(*T, string), parts ...yaml.DecodeOption) func(*T, []byte) error {
	return func(t *T, b []byte) error {
		var s string
		if yaml.Unmarshal(b, &s) == nil {
			set(t, s)
			return nil
		}
		return yaml.UnmarshalWithOptions(b, t, append(parts, yaml.Strict())...)
	}
}

// yamlError turns an error of the YAML library into one that names line and field. top is the template, or nil if it
// could not be parsed.
func yamlError(err error, top ast.Node) error {
	e, ok := errors.AsType[yaml.Error](err)
	if !ok || e.GetToken() == nil {
		return lima.Permanentf("this is not YAML: %w", err)
	}
	at := e.GetToken()
	message := fmt.Sprintf("line %d: %s", at.Position.Line, e.GetMessage())
	if t, ok := errors.AsType[*yaml.TypeError](err); ok {
		message = fmt.Sprintf("line %d: must be %s; got %s %q", at.Position.Line, kindName(t.DstType), kindName(t.SrcType), at.Value)
	}
	if t, ok := errors.AsType[*yaml.UnexpectedNodeTypeError](err); ok {
		message = fmt.Sprintf("line %d: must be %s; got %s", at.Position.Line, nodeName(t.Expected), nodeName(t.Actual))
	}
	if top == nil {
		return lima.Permanentf("this is not YAML: %s", message)
	}
	finder := &finder{line: at.Position.Line, column: at.Position.Column}
	ast.Walk(finder, top)
	return lima.FieldErrorf(finder.path, "%s", message)
}

// kindName names a Go type as a YAML author would.
func kindName(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return cmp.Or(kindNames[t.Kind()], "a whole number")
}

var kindNames = map[reflect.Kind]string{
	reflect.Bool: "true or false", reflect.String: "a text", reflect.Float32: "a number", reflect.Float64: "a number",
	reflect.Slice: "a list", reflect.Array: "a list", reflect.Map: "a map", reflect.Struct: "a map",
}

// nodeName names a kind of YAML node as a YAML author would.
func nodeName(t ast.NodeType) string { return cmp.Or(nodeNames[t], "a text") }

var nodeNames = map[ast.NodeType]string{
	ast.MappingType: "a map", ast.MappingValueType: "a map", ast.SequenceType: "a list", ast.NullType: "nothing",
	ast.BoolType: "true or false", ast.IntegerType: "a number", ast.FloatType: "a number",
}

// finder remembers the path of the innermost node at a position.
type finder struct {
	line, column int
	path         string
}

// Visit is called for each node of the tree.
func (f *finder) Visit(n ast.Node) ast.Visitor {
	if p := n.GetToken().Position; p.Line == f.line && p.Column == f.column {
		f.path = nodePath(n)
	}
	return f
}
