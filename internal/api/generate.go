// Package api is the parent of our API groups. It names the controllers that work on them, and holds the commands
// that generate deep copies, CustomResourceDefinitions, and the OpenAPI models of kinds that have none of those;
// `make verify` runs them and compares.
package api

//go:generate go run sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0 object crd:maxDescLen=512 paths=./... output:crd:dir=./crds/files

// The version of openapi-gen is that of kube-openapi in go.mod.
//go:generate sh -c "go run k8s.io/kube-openapi/cmd/openapi-gen@$(go list -m -f '{{.Version}}' k8s.io/kube-openapi) --output-dir containers/openapi --output-pkg rancherdesktop.io/rdd/internal/api/containers/openapi --output-file zz_generated.openapi.go --output-model-name-file zz_generated.model_name.go --go-header-file /dev/null rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
