package controlplane

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	genericserver "k8s.io/apiserver/pkg/server"

	"rancherdesktop.io/rdd/internal/view"
)

var errStopping = errors.New("the service stops")

// subresourceStorage serves a path below an object of a resource, and all paths below that. It has no other verbs.
type subresourceStorage struct {
	of       liveStorage
	name     string
	sub      view.Subresource
	stopping <-chan struct{}
}

var _ rest.Connecter = subresourceStorage{}

func (s subresourceStorage) New() runtime.Object { return s.of.New() }
func (s subresourceStorage) Destroy()            {}

// ConnectMethods are those that the subresource answers.
func (s subresourceStorage) ConnectMethods() []string { return s.sub.Methods }

// NewConnectOptions has no options: the query is the handler's. Paths below are its, too.
func (s subresourceStorage) NewConnectOptions() (options runtime.Object, below bool, _ string) {
	return nil, true, ""
}

// Connect finds the object and hands the request on.
func (s subresourceStorage) Connect(ctx context.Context, id string, _ runtime.Object, _ rest.Responder) (http.Handler, error) {
	o, err := s.of.get(ctx, id)
	if err != nil {
		return nil, err
	}
	above := path.Join(genericserver.APIGroupPrefix, s.of.Version.String(), s.of.Name, id, s.name)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, end := until(r.Context(), s.stopping)
		defer end()
		r = r.WithContext(ctx)
		r.URL = &url.URL{Path: strings.TrimPrefix(r.URL.Path, above), RawQuery: r.URL.RawQuery}
		s.sub.Handler(o).ServeHTTP(w, r)
	}), nil
}

// until returns a context that also ends when the service stops.
func until(parent context.Context, stopping <-chan struct{}) (ctx context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(parent)
	go func() {
		select {
		case <-stopping:
			cancel(errStopping)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// longRunning says that deletes of live objects, and requests for their subresources, have no timeout: a log is followed, a
// container takes its time to stop, a large image takes long to delete.
func (l live) longRunning(other func(*http.Request, *request.RequestInfo) bool) func(*http.Request, *request.RequestInfo) bool {
	return func(r *http.Request, info *request.RequestInfo) bool {
		slow := info.Subresource != "" || info.Verb == "delete" || info.Verb == "deletecollection"
		return slow && l.has(info.APIGroup) || other(r, info)
	}
}
