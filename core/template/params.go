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
	Default string `json:"default"` // the template's
	Set     bool   `json:"set"`     // Value is the VM's own
}

// ParamDefaults reads the params of a template as Lima does.
func ParamDefaults(text string) (map[string]string, error) {
	var t struct {
		Param map[string]string `yaml:"param"`
	}
	err := templatetext.Unmarshal([]byte(text), &t)
	return t.Param, err
}

// Params lists the params of a template, by name, with its own values.
func Params(text string) ([]Param, error) {
	defaults, err := ParamDefaults(text)
	if err != nil {
		return nil, fmt.Errorf("read the params of a template: %w", err)
	}
	params := make([]Param, 0, len(defaults))
	for _, key := range slices.Sorted(maps.Keys(defaults)) {
		params = append(params, Param{Name: key, Value: defaults[key], Default: defaults[key]})
	}
	return params, nil
}
