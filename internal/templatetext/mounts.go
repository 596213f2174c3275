package templatetext

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Mount is a folder of this computer that a VM shares.
type Mount struct {
	Location string `yaml:"location"`
	Writable bool   `yaml:"writable"`
}

// MountsOf reads the mounts in a template.
func MountsOf(text string) ([]Mount, error) {
	var t struct {
		Mounts []Mount `yaml:"mounts"`
	}
	if err := Unmarshal([]byte(text), &t); err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	return t.Mounts, nil
}

// WithMounts returns the template with other mounts, and changes nothing else. The template's own mounts must be on one line.
func WithMounts(text string, mounts []Mount) (string, error) {
	was, err := MountsOf(text)
	if err != nil || slices.Equal(was, mounts) {
		return text, err
	}
	items := make([]string, len(mounts))
	for i, m := range mounts {
		items[i] = fmt.Sprintf("{location: %s, writable: %t}", quoted(m.Location), m.Writable)
	}
	edited, err := withScalar(text, "mounts", "["+strings.Join(items, ", ")+"]")
	if err != nil {
		return "", err
	}
	// withScalar doesn't understand all of YAML, so this checks its result.
	if now, err := MountsOf(edited); err != nil || !slices.Equal(now, mounts) {
		return "", errors.Join(errors.New("the mounts in this template are written in a way that can't be changed here: edit its text"), err)
	}
	return edited, nil
}

// quoted returns a YAML string without the characters that withScalar would interpret.
func quoted(s string) string {
	b, _ := json.Marshal(s) // a string can always be encoded
	return strings.NewReplacer("#", `\u0023`, "$", `\u0024`).Replace(string(b))
}
