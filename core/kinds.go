package core

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// kind is a kind of object that the control plane serves and that can be watched.
type kind struct {
	schema.GroupVersionResource
	names      []string // plural, singular, short names and the kind itself, in lower case
	namespaced bool
}

// discovery is the part that we need of what a Kubernetes API says of itself: an aggregated
// APIGroupDiscoveryList (apidiscovery.k8s.io/v2). client-go's reader of it is a third of our program.
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

// kinds lists what the control plane serves, each kind once, in its preferred version.
func (s *Session) kinds(ctx context.Context) ([]kind, error) {
	config, err := s.core.RESTConfig()
	if err != nil {
		return nil, err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	var all []kind
	for _, path := range []string{"/api", "/apis"} {
		var found discovery
		if err := getJSON(ctx, client, config.Host+path, &found); err != nil {
			return nil, err
		}
		all = append(all, found.kinds()...)
	}
	return all, nil
}

func (d discovery) kinds() (all []kind) {
	for _, group := range d.Items {
		known := map[string]bool{}
		for _, version := range group.Versions { // the preferred one first
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

func getJSON(ctx context.Context, client *http.Client, url string, to any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", discoveryFormat)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, 16<<20)).Decode(to)
}

// kindNamed finds a kind by any of its names, with .GROUP behind it if need be.
func kindNamed(all []kind, name string) (kind, error) {
	name, group, hasGroup := strings.Cut(strings.ToLower(name), ".")
	for _, k := range all {
		if slices.Contains(k.names, name) && (!hasGroup || k.Group == group) {
			return k, nil
		}
	}
	return kind{}, fmt.Errorf("the control plane has no type %q; see: rdd ctl api-resources", strings.TrimSuffix(name+"."+group, "."))
}
