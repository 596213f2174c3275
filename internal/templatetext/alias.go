package templatetext

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxNodes limits the number of values in a template whose aliases are expanded. No template of 256 KiB has as many
// values without aliases.
const maxNodes = MaxBytes

// Unmarshal reads the text of a template into v, as yaml.Unmarshal does.
func Unmarshal(text []byte, v any) error {
	text = Plain(text)
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return err
	}
	if err := CheckAliases(file); err != nil {
		return err
	}
	return yaml.Unmarshal(text, v)
}

// CheckAliases refuses an alias inside the value that it refers to, and aliases that expand to too many values. The parser
// would expand them until no memory is left.
func CheckAliases(file *ast.File) error {
	c := &counter{anchors: map[string]int{}, open: map[string]bool{}}
	for _, doc := range file.Docs {
		if _, err := c.count(doc.Body); err != nil {
			return err
		}
	}
	return nil
}

var errTooMuch = errors.New("its aliases (*) expand to too many values: write it without them")

type counter struct {
	anchors map[string]int  // number of nodes by anchor
	open    map[string]bool // anchors that the current node is inside
}

// count returns the number of nodes of n with its aliases expanded.
func (c *counter) count(n ast.Node) (sum int, err error) {
	var parts []ast.Node
	switch n := n.(type) {
	case *ast.AnchorNode:
		return c.anchor(n)
	case *ast.AliasNode:
		name := n.Value.GetToken().Value
		if c.open[name] {
			return 0, fmt.Errorf("line %d: *%s is inside the value that &%s defines: write it without the alias", n.GetToken().Position.Line, name, name)
		}
		return c.anchors[name], nil
	case *ast.TagNode:
		parts = append(parts, n.Value)
	case *ast.MappingNode:
		for _, v := range n.Values {
			parts = append(parts, v)
		}
	case *ast.MappingValueNode:
		parts = append(parts, n.Key, n.Value)
	case *ast.MappingKeyNode:
		parts = append(parts, n.Value)
	case *ast.SequenceNode:
		parts = append(parts, n.Values...)
	}
	sum = 1
	for _, part := range parts {
		more, err := c.count(part)
		if err != nil {
			return 0, err
		}
		if sum += more; sum > maxNodes {
			return 0, errTooMuch
		}
	}
	return sum, nil
}

func (c *counter) anchor(n *ast.AnchorNode) (int, error) {
	name := n.Name.GetToken().Value
	was := c.open[name]
	c.open[name] = true
	sum, err := c.count(n.Value)
	c.open[name], c.anchors[name] = was, sum
	return sum, err
}
