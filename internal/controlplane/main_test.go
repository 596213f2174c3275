package controlplane_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"rancherdesktop.io/rdd/internal/admission"
	"rancherdesktop.io/rdd/internal/controlplane"
	"rancherdesktop.io/rdd/internal/datastore"
)

const (
	limit     = 30 * time.Second // for what should happen at once
	ownedName = "rdd-system"
)

var (
	widgets = schema.GroupVersionResource{Group: "test.rdd.io", Version: "v1", Resource: "widgets"}
	owners  = schema.GroupVersionResource{Group: "test.rdd.io", Version: "v1", Resource: "owners"}
)

// server is a control plane under test.
type server struct {
	*controlplane.Server
	kube    kubernetes.Interface // over TLS, as the owner
	dynamic dynamic.Interface
	stop    func() error // ends Run and returns its error
	store   *datastore.Store
}

// shared is the server that all tests use which don't need one of their own.
var shared *server

// sharedStore is its store.
var sharedStore *datastore.Store

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "controlplane-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	store, err := datastore.Open(context.Background(), datastore.Options{Dir: dir + "/store"})
	if err == nil {
		defer store.Close()
		sharedStore = store
		shared, err = serve(config(dir, store))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer shared.stop()
	return m.Run()
}

func config(dir string, store *datastore.Store) controlplane.Config {
	return controlplane.Config{
		Dir:        dir + "/controlplane",
		Store:      store,
		CRDs:       []*apiextensionsv1.CustomResourceDefinition{definition("Widget", apiextensionsv1.NamespaceScoped), definition("Owner", apiextensionsv1.ClusterScoped)},
		Admission:  []admission.Admission{reviews.rule()},
		Namespaces: []string{ownedName},
		Live:       engine.resources(),
		Handlers: map[string]http.Handler{"/rdd/hello": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "the nonce")
		})},
	}
}

// serve runs a server until it is ready.
func serve(c controlplane.Config) (*server, error) {
	plane, err := controlplane.New(context.Background(), c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- plane.Run(ctx) }()
	s := &server{Server: plane, stop: sync.OnceValue(func() error { cancel(); return <-ended })}
	select {
	case <-plane.Ready():
	case err := <-ended:
		cancel()
		return nil, fmt.Errorf("ended before it was ready: %w", err)
	case <-time.After(limit):
		return nil, errors.Join(errors.New("not ready in time"), s.stop())
	}
	remote := remoteConfig(plane.Endpoint())
	if s.kube, err = kubernetes.NewForConfig(remote); err != nil {
		return nil, err
	}
	s.dynamic, err = dynamic.NewForConfig(remote)
	return s, err
}

func remoteConfig(e controlplane.Endpoint) *rest.Config {
	return &rest.Config{Host: e.URL, BearerToken: e.Token, QPS: -1, TLSClientConfig: rest.TLSClientConfig{CAData: e.CA}}
}

// own starts a server of the test's own on a store of its own.
func own(t *testing.T, dir string, change func(*controlplane.Config)) *server {
	t.Helper()
	store, err := datastore.Open(t.Context(), datastore.Options{Dir: dir + "/store"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	c := config(dir, store)
	if change != nil {
		change(&c)
	}
	s, err := serve(c)
	if err != nil {
		t.Fatal(err)
	}
	s.store = store
	t.Cleanup(func() { s.stop() })
	return s
}

// definition is a kind with a rule, a default and a status.
func definition(kind string, scope apiextensionsv1.ResourceScope) *apiextensionsv1.CustomResourceDefinition {
	lower := strings.ToLower(kind)
	spec := apiextensionsv1.JSONSchemaProps{
		Type:        "object",
		Description: "What is wanted of the " + lower + ".",
		Properties: map[string]apiextensionsv1.JSONSchemaProps{
			"size":  {Type: "integer", Description: "How large it is, in millimetres."},
			"color": {Type: "string", Default: &apiextensionsv1.JSON{Raw: []byte(`"blue"`)}},
		},
		XValidations: apiextensionsv1.ValidationRules{
			{Rule: "!has(self.size) || self.size <= 100", Message: "size must be at most 100"},
		},
	}
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: lower + "s.test.rdd.io"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "test.rdd.io",
			Scope: scope,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: lower + "s", Singular: lower, Kind: kind, ListKind: kind + "List"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Subresources: &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}},
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type:        "object",
					Description: kind + " is a kind of the tests.",
					Properties: map[string]apiextensionsv1.JSONSchemaProps{
						"spec": spec,
						"status": {Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{
							"phase": {Type: "string"},
						}},
					},
				}},
			}},
		},
	}
}

// reviews is a rule that notes what it was asked and says no on request.
var reviews = &recorder{}

type recorder struct {
	mu   sync.Mutex
	seen []admission.Review
}

func (r *recorder) rule() admission.Admission {
	return admission.Admission{
		Resources: []schema.GroupResource{corev1.Resource("configmaps"), widgets.GroupResource()},
		Admit: func(_ context.Context, review admission.Review) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.seen = append(r.seen, review)
			object := review.Object
			if object == nil {
				object = review.Old
			}
			switch object.GetLabels()["refuse"] {
			case string(review.Operation):
				return errors.New("the rule says no")
			case string(review.Operation) + "-conflict":
				return apierrors.NewConflict(review.Resource.GroupResource(), review.Name, errors.New("the rule says wait"))
			}
			return nil
		},
	}
}

// of returns what was asked about one object.
func (r *recorder) of(name string) []admission.Review {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []admission.Review
	for _, review := range r.seen {
		if review.Name == name {
			found = append(found, review)
		}
	}
	return found
}

func object(r schema.GroupVersionResource, kind, name string, spec map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	u.SetAPIVersion(r.GroupVersion().String())
	u.SetKind(kind)
	u.SetName(name)
	return u
}

func widget(name string, spec map[string]any) *unstructured.Unstructured {
	return object(widgets, "Widget", name, spec)
}

// namespace makes one for the test, with its name.
func namespace(t *testing.T, s *server) string {
	t.Helper()
	name := strings.ReplaceAll(strings.ToLower(t.Name()), "/", "-")
	_, err := s.kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func configMap(name string, owner metav1.Object) *corev1.ConfigMap {
	c := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"a": "1"}}
	if owner != nil {
		yes := true
		c.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: owners.GroupVersion().String(), Kind: "Owner", Name: owner.GetName(), UID: owner.GetUID(), BlockOwnerDeletion: &yes,
		}}
	}
	return c
}

// get is a plain request to the shared server.
func get(t *testing.T, s *server, path string, header http.Header) (status int, body string) {
	t.Helper()
	transport, err := rest.TransportFor(&rest.Config{Host: s.Endpoint().URL, TLSClientConfig: rest.TLSClientConfig{CAData: s.Endpoint().CA}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Endpoint().URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Host = r.Header.Get("Host")
	answer, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var b bytes.Buffer
	if _, err := io.Copy(&b, answer.Body); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, b.String()
}

func bearer(token string) http.Header {
	return http.Header{"Authorization": {"Bearer " + token}}
}
