package templatetext

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// mostNodes is how many values a template may have once its aliases are written out. None of 256 KiB
// has as many without them.
const mostNodes = MaxBytes

// Unmarshal reads text into v, as yaml.Unmarshal does, from whatever a template may be.
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

// CheckAliases refuses an alias within the value that it stands for, and aliases that stand for too much:
// the parser would write them out until there is no more memory.
func CheckAliases(file *ast.File) error {
	c := &counter{anchors: map[string]int{}, open: map[string]bool{}}
	for _, doc := range file.Docs {
		if _, err := c.count(doc.Body); err != nil {
			return err
		}
	}
	return nil
}

var errTooMuch = errors.New("its aliases (*) stand for too much: write it without them")

type counter struct {
	anchors map[string]int  // the nodes of each value that has a name
	open    map[string]bool // the names of the values that the node is in
}

// count is the number of nodes of n with its aliases written out.
func (c *counter) count(n ast.Node) (sum int, err error) {
	var parts []ast.Node
	switch n := n.(type) {
	case *ast.AnchorNode:
		return c.anchor(n)
	case *ast.AliasNode:
		name := n.Value.GetToken().Value
		if c.open[name] {
			return 0, fmt.Errorf("line %d: *%s is within the value that &%s names: write it without the alias", n.GetToken().Position.Line, name, name)
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
		if sum += more; sum > mostNodes {
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
