package controlplane

import (
	"maps"
	"regexp"
	"strings"

	apiextensionsserver "k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	utilopenapi "k8s.io/apiserver/pkg/util/openapi"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/util"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	generated "k8s.io/kubernetes/pkg/generated/openapi"

	containers "rancherdesktop.io/rdd/internal/api/containers/openapi"
)

// servedTypes matches the OpenAPI names of the types that the served groups use.
var servedTypes = regexp.MustCompile(`apimachinery|apiextensions|` +
	`core.v1.(Namespace|Secret|ConfigMap|Event|ObjectReference)(List|Spec|Status|$)|` +
	`api.(events|authentication|authorization|coordination).v1\.|autoscaling.v1.Scale|` +
	`rancherdesktop.containers`)

// openAPIModels returns the OpenAPI models of the served types and of the types they refer
// to. All of Kubernetes' models would take 9 MB of memory.
func (s *Server) openAPIModels() (common.GetOpenAPIDefinitions, *openapi.DefinitionNamer) {
	all := utilopenapi.GetOpenAPIDefinitionsWithoutDisabledFeatures(generated.GetOpenAPIDefinitions)
	served := func(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
		from := all(ref)
		maps.Copy(from, containerModels(ref))
		kept := map[string]common.OpenAPIDefinition{}
		var keep func(name string)
		keep = func(name string) {
			model, known := from[name]
			if _, done := kept[name]; done || !known {
				return
			}
			kept[name] = model
			for _, dependency := range model.Dependencies {
				keep(dependency)
			}
		}
		for name := range from {
			if servedTypes.MatchString(name) {
				keep(name)
			}
		}
		return kept
	}
	return served, openapi.NewDefinitionNamer(legacyscheme.Scheme, apiextensionsserver.Scheme, s.live.scheme)
}

// containerModels are those of the container engine's objects. They are generated apart from Kubernetes' own, to which
// they refer by the paths of the Go packages.
func containerModels(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	all := containers.GetOpenAPIDefinitions(func(name string) spec.Ref { return ref(modelName(name)) })
	for _, model := range all {
		for i, name := range model.Dependencies {
			model.Dependencies[i] = modelName(name)
		}
	}
	return all
}

func modelName(name string) string {
	if strings.Contains(name, "/") { // the path of a Go package
		return util.ToRESTFriendlyName(name)
	}
	return name
}
