package crds

import (
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// kubectl explain shows the descriptions; a field without one leaves the reader alone.
func TestEveryFieldIsExplained(t *testing.T) {
	all, err := All()
	if err != nil || len(all) == 0 {
		t.Fatalf("%d definitions, %v", len(all), err)
	}
	for _, crd := range all {
		for _, v := range crd.Spec.Versions {
			explained(t, crd.Spec.Names.Kind, *v.Schema.OpenAPIV3Schema)
		}
	}
}

func explained(t *testing.T, path string, schema apiextensionsv1.JSONSchemaProps) {
	for name, property := range schema.Properties {
		field := path + "." + name
		if property.Description == "" && name != "metadata" {
			t.Errorf("%s has no description", field)
		}
		explained(t, field, property)
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		explained(t, path, *schema.Items.Schema)
	}
}
