package controlplane

import (
	"maps"
	"net/http"
	"path"
	"slices"
	"time"

	"github.com/emicklei/go-restful/v3"
	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	apiadmission "k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/endpoints"
	"k8s.io/apiserver/pkg/endpoints/discovery"
	"k8s.io/apiserver/pkg/endpoints/handlers"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	genericserver "k8s.io/apiserver/pkg/server"

	"rancherdesktop.io/rdd/internal/view"
)

// liveHandler answers the requests for one live resource. The API server would make a route for each verb and path
// (InstallAPIGroup): 400 KB of memory for what a few lines do.
type liveHandler struct {
	resource view.Resource
	codecs   runtime.NegotiatedSerializer
	verbs    map[string]http.HandlerFunc
	below    map[string]subresourceStorage
}

// installLive serves the live resources, and shows them in discovery.
func (s *Server) installLive(c *genericserver.Config) error {
	versions := map[schema.GroupVersion][]view.Resource{}
	for _, r := range s.live.resources {
		versions[r.Version] = append(versions[r.Version], r)
	}
	groups := map[string][]string{}
	for version, resources := range versions {
		groups[version.Group] = append(groups[version.Group], version.Version)
		if err := s.installLiveVersion(c, version, resources); err != nil {
			return err
		}
	}
	for name, served := range groups {
		group := apiGroup(name, served)
		s.native.DiscoveryGroupManager.AddGroup(group)
		s.native.Handler.NonGoRestfulMux.Handle(path.Join(genericserver.APIGroupPrefix, name), discovery.NewAPIGroupHandler(c.Serializer, group))
	}
	return nil
}

func (s *Server) installLiveVersion(c *genericserver.Config, version schema.GroupVersion, resources []view.Resource) error {
	at := path.Join(genericserver.APIGroupPrefix, version.String())
	var discovered []metav1.APIResource
	byName := map[string]liveHandler{}
	for _, r := range resources {
		discovered = append(discovered, discoverable(r)...)
		byName[r.Name] = s.live.handler(r, c)
	}
	mux := s.native.Handler.NonGoRestfulMux
	mux.Handle(at, discovery.NewAPIVersionHandler(c.Serializer, version, discovery.APIResourceListerFunc(func() []metav1.APIResource { return discovered })))
	mux.HandlePrefix(at+"/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, known := request.RequestInfoFrom(r.Context())
		if h, ok := byName[info.Resource]; known && ok {
			h.serve(w, r, info)
			return
		}
		http.NotFound(w, r)
	}))
	aggregated, err := endpoints.ConvertGroupVersionIntoToDiscovery(discovered)
	if err != nil {
		return err
	}
	s.native.AggregatedDiscoveryGroupManager.AddGroupVersion(version.Group, apidiscoveryv2.APIVersionDiscovery{
		Freshness: apidiscoveryv2.DiscoveryFreshnessCurrent, Version: version.Version, Resources: aggregated,
	})
	return nil
}

// discoverable is a resource and its subresources as discovery shows them.
func discoverable(r view.Resource) []metav1.APIResource {
	verbs := metav1.Verbs{"get", "list", "watch"}
	if r.Delete != nil {
		verbs = metav1.Verbs{"delete", "deletecollection", "get", "list", "watch"}
	}
	all := []metav1.APIResource{{
		Name: r.Name, SingularName: r.Singular, Kind: r.Kind, ShortNames: r.ShortNames, Categories: r.Categories, Verbs: verbs,
	}}
	verbOf := map[string]string{http.MethodGet: "get", http.MethodPost: "create", http.MethodPut: "update", http.MethodDelete: "delete", http.MethodPatch: "patch"}
	for _, name := range slices.Sorted(maps.Keys(r.Subresources)) {
		var verbs metav1.Verbs
		for _, method := range r.Subresources[name].Methods {
			verbs = append(verbs, verbOf[method])
		}
		slices.Sort(verbs)
		all = append(all, metav1.APIResource{Name: r.Name + "/" + name, Kind: r.Kind, Verbs: verbs})
	}
	return all
}

func (l live) handler(r view.Resource, c *genericserver.Config) liveHandler {
	h := liveHandler{r, l.codecs, map[string]http.HandlerFunc{}, map[string]subresourceStorage{}}
	at, scope, timeout := liveStorage{r}, l.scope(r), time.Duration(c.MinRequestTimeout)*time.Second
	h.verbs["get"] = handlers.GetResource(at, scope)
	h.verbs["list"] = handlers.ListResource(at, at, scope, false, timeout)
	h.verbs["watch"] = handlers.ListResource(at, at, scope, true, timeout)
	if r.Delete != nil {
		deletable := deletableStorage{at, c.ShutdownInitiatedNotify()}
		h.verbs["delete"] = handlers.DeleteCollection(namedStorage{deletable}, true, scope, c.AdmissionControl)
		h.verbs["deletecollection"] = handlers.DeleteCollection(deletable, true, scope, c.AdmissionControl)
	}
	for name, sub := range r.Subresources {
		h.below[name] = subresourceStorage{at, name, sub, c.ShutdownInitiatedNotify()}
	}
	return h
}

// scope is what the API server's handlers have to know of a resource.
func (l live) scope(r view.Resource) *handlers.RequestScope {
	return &handlers.RequestScope{
		Namer:                    handlers.ContextBasedNaming{Namer: runtime.Namer(meta.NewAccessor()), ClusterScoped: true},
		Serializer:               l.codecs,
		ParameterCodec:           runtime.NewParameterCodec(l.scheme),
		Creater:                  l.scheme, //nolint:misspell // the API server's word
		Convertor:                l.scheme,
		Defaulter:                l.scheme,
		Typer:                    l.scheme,
		UnsafeConvertor:          runtime.UnsafeObjectConvertor(l.scheme),
		EquivalentResourceMapper: runtime.NewEquivalentResourceRegistry(),
		TableConvertor:           liveStorage{r},
		Resource:                 r.Version.WithResource(r.Name),
		Kind:                     r.Version.WithKind(r.Kind),
		HubGroupVersion:          schema.GroupVersion{Group: r.Version.Group, Version: runtime.APIVersionInternal},
		MetaGroupVersion:         metav1.SchemeGroupVersion,
		MaxRequestBodyBytes:      maxLiveBody,
	}
}

// maxLiveBody is the most that a client may send with a delete.
const maxLiveBody = 1 << 20

func (h liveHandler) serve(w http.ResponseWriter, r *http.Request, info *request.RequestInfo) {
	if info.Subresource != "" {
		h.serveBelow(w, r, info)
		return
	}
	if verb := h.verbs[info.Verb]; verb != nil {
		verb(w, r)
		return
	}
	h.fail(w, r, notHere(h.resource, info.Verb))
}

func (h liveHandler) serveBelow(w http.ResponseWriter, r *http.Request, info *request.RequestInfo) {
	below, known := h.below[info.Subresource]
	switch {
	case !known:
		h.fail(w, r, apierrors.NewNotFound(h.resource.Version.WithResource(h.resource.Name+"/"+info.Subresource).GroupResource(), info.Name))
		return
	case !slices.Contains(below.sub.Methods, r.Method):
		h.fail(w, r, apierrors.NewMethodNotSupported(below.of.group(), r.Method+" "+info.Subresource))
		return
	}
	handler, err := below.Connect(r.Context(), info.Name, nil, nil)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	handler.ServeHTTP(w, r)
}

func (h liveHandler) fail(w http.ResponseWriter, r *http.Request, err error) {
	responsewriters.ErrorNegotiated(err, h.codecs, h.resource.Version, w, r)
}

// services are the routes that the API server would make. The OpenAPI documents are made from them.
func (l live) services() ([]*restful.WebService, error) {
	versions := map[schema.GroupVersion]map[string]rest.Storage{}
	for _, r := range l.resources {
		if versions[r.Version] == nil {
			versions[r.Version] = map[string]rest.Storage{}
		}
		at := liveStorage{r}
		versions[r.Version][r.Name] = at
		if r.Delete != nil {
			versions[r.Version][r.Name] = deletableStorage{liveStorage: at}
		}
		for name, sub := range r.Subresources {
			versions[r.Version][r.Name+"/"+name] = subresourceStorage{of: at, name: name, sub: sub}
		}
	}
	container := restful.NewContainer()
	for version, storage := range versions {
		group := &endpoints.APIGroupVersion{
			Root: genericserver.APIGroupPrefix, GroupVersion: version, Storage: storage,
			OptionsExternalVersion: &schema.GroupVersion{Version: "v1"},
			Serializer:             l.codecs, ParameterCodec: runtime.NewParameterCodec(l.scheme), Typer: l.scheme,
			Creater:   l.scheme, //nolint:misspell // the API server's word
			Convertor: l.scheme, ConvertabilityChecker: l.scheme, Defaulter: l.scheme, UnsafeConvertor: runtime.UnsafeObjectConvertor(l.scheme),
			Namer: runtime.Namer(meta.NewAccessor()), TypeConverter: managedfields.NewDeducedTypeConverter(),
			EquivalentResourceRegistry: runtime.NewEquivalentResourceRegistry(), Admit: apiadmission.NewChainHandler(),
		}
		if _, _, err := group.InstallREST(container); err != nil {
			return nil, err
		}
	}
	return container.RegisteredWebServices(), nil
}
