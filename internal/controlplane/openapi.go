package controlplane

import (
	"bytes"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/emicklei/go-restful/v3"
	"k8s.io/apiextensions-apiserver/pkg/controller/openapi/builder"
	genericserver "k8s.io/apiserver/pkg/server"
	builder2 "k8s.io/kube-openapi/pkg/builder"
	"k8s.io/kube-openapi/pkg/builder3"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/common/restfuladapter"
	"k8s.io/kube-openapi/pkg/handler"
	"k8s.io/kube-openapi/pkg/handler3"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// releaseDelay is the time from the last document to the release of the memory it took.
const releaseDelay = 2 * time.Second

// openAPIHandler answers /openapi/v2 and /openapi/v3 for built-in and custom kinds alike.
// It builds a document when it is asked for and keeps none, only the small index that
// lets clients keep copies. Usually the aggregator merges what each server keeps ready.
type openAPIHandler struct {
	server  *Server
	v2      *common.Config
	v3      *common.OpenAPIV3Config
	release *time.Timer

	mu       sync.Mutex
	index    page
	indexFor string // the definitions that index describes
}

func (s *Server) serveOpenAPI(v3 *common.OpenAPIV3Config) {
	models, namer := s.openAPIModels()
	d := &openAPIHandler{server: s, v2: genericserver.DefaultOpenAPIConfig(models, namer), v3: v3}
	d.v2.Info = v3.Info
	d.release = time.AfterFunc(releaseDelay, debug.FreeOSMemory) // also for what the start took
	mux := s.native.Handler.NonGoRestfulMux
	mux.HandleFunc("/openapi/v2", d.serveV2)
	mux.HandleFunc("/openapi/v3", d.serveIndex)
	mux.HandlePrefix("/openapi/v3/", http.HandlerFunc(d.serveGroup))
}

// document makes the v3 description of one group and version.
type document func() (*spec3.OpenAPI, error)

// documents lists the groups and versions by their paths, without the first slash.
func (d *openAPIHandler) documents() (map[string]document, error) {
	all := map[string]document{}
	services, err := d.services()
	if err != nil {
		return nil, err
	}
	for _, service := range services {
		all[service.RootPath()[1:]] = func() (*spec3.OpenAPI, error) {
			return builder3.BuildOpenAPISpecFromRoutes(restfuladapter.AdaptWebServices([]*restful.WebService{service}), d.v3)
		}
	}
	for _, definition := range d.server.establishedDefinitions() {
		for _, version := range definition.Spec.Versions {
			if !version.Served {
				continue
			}
			path := fmt.Sprintf("apis/%s/%s", definition.Spec.Group, version.Name)
			all[path] = merged(all[path], func() (*spec3.OpenAPI, error) {
				return builder.BuildOpenAPIV3(definition, version.Name, builder.Options{IncludeSelectableFields: true})
			})
		}
	}
	return all, nil
}

// merged adds the description of one more kind to those of its group.
func merged(others, one document) document {
	if others == nil {
		return one
	}
	return func() (*spec3.OpenAPI, error) {
		a, err := others()
		if err != nil {
			return nil, err
		}
		b, err := one()
		if err != nil {
			return nil, err
		}
		return builder.MergeSpecsV3(a, b)
	}
}

// services are the routes of the built-in and live kinds and of the definitions. Both servers
// have a few in common, such as /version; the first answers.
func (d *openAPIHandler) services() ([]*restful.WebService, error) {
	all, err := d.server.live.services()
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, server := range []*genericserver.GenericAPIServer{d.server.native, d.server.custom.GenericAPIServer} {
		for _, service := range server.Handler.GoRestfulContainer.RegisteredWebServices() {
			if path := service.RootPath(); !seen[path] {
				seen[path] = true
				all = append(all, service)
			}
		}
	}
	return all, nil
}

func (d *openAPIHandler) serveIndex(w http.ResponseWriter, r *http.Request) {
	index, err := d.currentIndex(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	index.serve(w, r)
}

// currentIndex rebuilds the index when the definitions have changed: it holds a
// hash of each document, so all of them have to be made.
func (d *openAPIHandler) currentIndex(r *http.Request) (page, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var now strings.Builder
	for _, definition := range d.server.establishedDefinitions() {
		fmt.Fprintln(&now, definition.UID, definition.Generation)
	}
	if d.indexFor == now.String() && d.index.body != nil {
		return d.index, nil
	}
	d.release.Reset(releaseDelay)
	documents, err := d.documents()
	if err != nil {
		return page{}, err
	}
	all := handler3.NewOpenAPIService()
	for path, build := range documents {
		document, err := build()
		if err != nil {
			return page{}, fmt.Errorf("describe %s: %w", path, err)
		}
		all.UpdateGroupVersion(path, document)
	}
	d.index = page{header: http.Header{}}
	plain := r.Clone(r.Context())
	plain.Header = http.Header{} // the whole index, whatever this client has
	all.HandleDiscovery(&d.index, plain)
	d.indexFor = now.String()
	return d.index, nil
}

func (d *openAPIHandler) serveGroup(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path[len("/openapi/v3/"):]
	documents, err := d.documents()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	build, known := documents[path]
	if !known {
		http.NotFound(w, r)
		return
	}
	document, err := build()
	if err != nil {
		http.Error(w, fmt.Sprintf("describe %s: %v", path, err), http.StatusInternalServerError)
		return
	}
	d.release.Reset(releaseDelay)
	one := handler3.NewOpenAPIService()
	one.UpdateGroupVersion(path, document)
	one.HandleGroupVersion(w, r)
}

// serveV2 is for kubectl before 1.27, such as Debian's: it explains and validates by
// the version 2 document.
func (d *openAPIHandler) serveV2(w http.ResponseWriter, r *http.Request) {
	document, err := d.documentV2()
	if err != nil {
		http.Error(w, fmt.Sprintf("describe the API: %v", err), http.StatusInternalServerError)
		return
	}
	d.release.Reset(releaseDelay)
	var serve capture
	handler.NewOpenAPIService(document).RegisterOpenAPIVersionedService(r.URL.Path, &serve)
	serve.ServeHTTP(w, r)
}

func (d *openAPIHandler) documentV2() (*spec.Swagger, error) {
	services, err := d.services()
	if err != nil {
		return nil, err
	}
	native, err := builder2.BuildOpenAPISpecFromRoutes(restfuladapter.AdaptWebServices(services), d.v2)
	if err != nil {
		return nil, err
	}
	native.Definitions = handler.PruneDefaults(native.Definitions)
	var custom []*spec.Swagger
	for _, definition := range d.server.establishedDefinitions() {
		for _, version := range definition.Spec.Versions {
			if !version.Served {
				continue
			}
			one, err := builder.BuildOpenAPIV2(definition, version.Name, builder.Options{V2: true})
			if err != nil {
				return nil, fmt.Errorf("%s, version %s: %w", definition.Name, version.Name, err)
			}
			custom = append(custom, one)
		}
	}
	return builder.MergeSpecs(native, custom...)
}

// capture gets the handler from a library that can only register it.
type capture struct{ http.Handler }

func (c *capture) Handle(_ string, h http.Handler) { c.Handler = h }

// page is an answer that is kept to be given again.
type page struct {
	header http.Header
	body   []byte
}

// Header, Write and WriteHeader let a handler fill the page.
func (p *page) Header() http.Header { return p.header }

func (p *page) Write(data []byte) (int, error) {
	p.body = append(p.body, data...)
	return len(data), nil
}

func (p *page) WriteHeader(int) {}

// serve answers a request with the page, or with "not modified".
func (p page) serve(w http.ResponseWriter, r *http.Request) {
	for _, name := range []string{"Content-Type", "Etag"} {
		w.Header().Set(name, p.header.Get(name))
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(p.body))
}
