// Package crds holds the CustomResourceDefinitions of our API groups. The service applies them to
// the control plane when it starts.
package crds

import (
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"rancherdesktop.io/rdd/internal/api/crds/files"
)

// All returns the definitions, ordered by name.
func All() ([]*apiextensionsv1.CustomResourceDefinition, error) {
	entries, err := files.All.ReadDir(".")
	if err != nil {
		return nil, err
	}
	var all []*apiextensionsv1.CustomResourceDefinition
	for _, e := range entries {
		text, err := files.All.ReadFile(e.Name())
		if err != nil {
			return nil, err
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(text, crd); err != nil {
			return nil, fmt.Errorf("embedded %s: %w", e.Name(), err)
		}
		all = append(all, crd)
	}
	return all, nil
}
