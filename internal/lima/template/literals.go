package template

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"rancherdesktop.io/rdd/internal/lima"
)

// plainNumber matches numbers that every parser reads in the same way.
var plainNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// checkLiterals checks the part of a template that is decoded into a t, before it is decoded. It refuses
//   - numbers that YAML changes without an error: 2.5 becomes the whole number 2, 010 becomes 8, and 1.20 the text 1.2;
//   - fields that t doesn't have: the decoder would name a random one;
//   - lists that are longer than t: the decoder would panic.
func checkLiterals(n ast.Node, t reflect.Type) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch n := n.(type) {
	case *ast.AnchorNode:
		return checkLiterals(n.Value, t)
	case *ast.TagNode:
		return checkLiterals(n.Value, t)
	case *ast.SequenceNode:
		switch {
		case t.Kind() == reflect.Array && len(n.Values) > t.Len():
			return lima.FieldErrorf(nodePath(n), "line %d: must be a list of %d", n.GetToken().Position.Line, t.Len())
		case t.Kind() != reflect.Slice && t.Kind() != reflect.Array:
			return nil
		}
		for _, v := range n.Values {
			if err := checkLiterals(v, t.Elem()); err != nil {
				return err
			}
		}
	case *ast.MappingNode:
		for _, v := range n.Values {
			if err := checkLiterals(v, t); err != nil {
				return err
			}
		}
	case *ast.MappingValueNode:
		if n.Key.IsMergeKey() {
			return checkLiterals(n.Value, t)
		}
		at := n.Key.GetToken()
		if to := typeOfKey(t, at.Value); to != nil {
			return checkLiterals(n.Value, to)
		}
		if t.Kind() == reflect.Struct {
			return lima.FieldErrorf(nodePath(n), "line %d: unknown field %q", at.Position.Line, at.Value)
		}
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode, *ast.StringNode:
		return checkLiteral(n, t)
	}
	return nil
}

// typeOfKey returns the type of a field, or of a map's values; nil if there is no such field.
func typeOfKey(t reflect.Type, key string) reflect.Type {
	switch t.Kind() {
	case reflect.Map:
		return t.Elem()
	case reflect.Struct:
		for i := range t.NumField() {
			name, options, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
			if strings.Contains(options, "inline") {
				if inner := typeOfKey(t.Field(i).Type, key); inner != nil {
					return inner
				}
			} else if name == key {
				return t.Field(i).Type
			}
		}
	}
	return nil
}

// checkLiteral checks one value that is decoded into a t.
func checkLiteral(n ast.Node, t reflect.Type) error {
	at := n.GetToken()
	problem := func(format string, args ...any) error {
		return lima.FieldErrorf(nodePath(n), "line %d: %s", at.Position.Line, fmt.Sprintf(format, args...))
	}
	_, text := n.(*ast.StringNode)
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if number := strings.TrimSpace(at.Value); strings.Trim(number, "+-.0123456789_eExXoObBaAcCdDfF") == "" && !plainNumber.MatchString(number) {
			return problem("must be a whole number in decimal digits, without a leading zero; got %s", number)
		}
	case reflect.String, reflect.Struct: // a struct may have a short form, such as a disk's name
		var read string
		if err := yaml.Unmarshal([]byte(at.Value), &read); !text && err == nil && read != at.Value {
			return problem("YAML reads %s as %s: put it in quotes, or write it differently", at.Value, read)
		}
	}
	return nil
}

// nodePath is the path of the field at a node, such as images[0].digest.
func nodePath(n ast.Node) string {
	return strings.TrimPrefix(strings.TrimPrefix(n.GetPath(), "$"), ".")
}
