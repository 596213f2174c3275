package template

import (
	"fmt"
	"maps"
	"slices"

	"rancherdesktop.io/rdd/internal/templatetext"
)

// Param is one of a template's params.
type Param struct {
	Name    string `json:"name"`
	Value   string `json:"value"`   // at the next start
	Default string `json:"default"` // in the template
	Set     bool   `json:"set"`     // the VM has a value of its own
}

// Params lists the params of a template by name. own has the values of a VM, and wins over the template's.
func Params(text string, own map[string]string) ([]Param, error) {
	var t struct {
		Param map[string]string `yaml:"param"`
	}
	if err := templatetext.Unmarshal([]byte(text), &t); err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	names := map[string]string{}
	maps.Copy(names, t.Param)
	maps.Copy(names, own)
	params := make([]Param, 0, len(names))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		_, set := own[name]
		params = append(params, Param{Name: name, Value: names[name], Default: t.Param[name], Set: set})
	}
	return params, nil
}
