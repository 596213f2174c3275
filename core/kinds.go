package core

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// kind is a kind of objects that the control plane serves and that can be watched.
type kind struct {
	schema.GroupVersionResource
	names      []string // plural, singular, kind and short names, in lower case
	namespaced bool
}

// discovery has the fields that RDD needs of an aggregated APIGroupDiscoveryList (apidiscovery.k8s.io/v2). client-go's
// discovery client would be a third of the size of the program rdd.
type discovery struct {
	Items []struct {
		Metadata struct{ Name string }
		Versions []struct {
			Version   string
			Resources []struct {
				Resource, Scope, SingularResource string
				ShortNames, Verbs                 []string
				ResponseKind                      struct{ Kind string }
			}
		}
	}
}

const discoveryFormat = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

// kinds lists the kinds that the control plane serves, each in its preferred version.
func (s *Session) kinds(ctx context.Context) ([]kind, error) {
	config, err := s.core.RESTConfig()
	if err != nil {
		return nil, err
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, err
	}
	var all []kind
	for _, path := range []string{"/api", "/apis"} {
		var found discovery
		if err := getJSON(ctx, transport, config.Host+path, "Accept", discoveryFormat, &found); err != nil {
			return nil, err
		}
		all = append(all, found.kinds()...)
	}
	return all, nil
}

func (d discovery) kinds() (all []kind) {
	for _, group := range d.Items {
		known := map[string]bool{}
		for _, version := range group.Versions { // the preferred version is first
			for _, r := range version.Resources {
				if known[r.Resource] || !slices.Contains(r.Verbs, "watch") {
					continue
				}
				known[r.Resource] = true
				names := append([]string{r.Resource, r.SingularResource, strings.ToLower(r.ResponseKind.Kind)}, r.ShortNames...)
				all = append(all, kind{
					schema.GroupVersionResource{Group: group.Metadata.Name, Version: version.Version, Resource: r.Resource},
					names, r.Scope == "Namespaced",
				})
			}
		}
	}
	return all
}

// kindNamed finds a kind by one of its names, which can end in .GROUP.
func kindNamed(all []kind, name string) (kind, error) {
	name, group, hasGroup := strings.Cut(strings.ToLower(name), ".")
	for _, k := range all {
		if slices.Contains(k.names, name) && (!hasGroup || k.Group == group) {
			return k, nil
		}
	}
	return kind{}, fmt.Errorf("the control plane has no type %q; see: rdd ctl api-resources", strings.TrimSuffix(name+"."+group, "."))
}
