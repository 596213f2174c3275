package controlplane_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"rancherdesktop.io/rdd/internal/controlplane"
	"rancherdesktop.io/rdd/internal/datastore"
	"rancherdesktop.io/rdd/internal/datastore/datastoretest"
)

func TestRestartKeepsDataAndIdentity(t *testing.T) {
	dir := t.TempDir()
	store, err := datastore.Open(t.Context(), datastore.Options{Dir: dir + "/store"})
	if err != nil {
		t.Fatal(err)
	}
	first, err := serve(config(dir, store))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.kube.CoreV1().ConfigMaps("default").Create(t.Context(), configMap("kept", nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(first.stop(), store.Close()); err != nil {
		t.Fatal(err)
	}
	second := own(t, dir, func(c *controlplane.Config) {
		// What changed in a definition since the last run takes effect.
		c.CRDs[0].Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"].XValidations[0].Message = "size must be small"
	})
	if a, b := first.Endpoint(), second.Endpoint(); a.URL != b.URL || a.Token != b.Token || string(a.CA) != string(b.CA) {
		t.Error("the endpoint changed")
	}
	// The first run's client works on.
	if _, err := first.kube.CoreV1().ConfigMaps("default").Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	_, err = second.dynamic.Resource(widgets).Namespace("default").Create(t.Context(), widget("large", map[string]any{"size": int64(500)}), metav1.CreateOptions{})
	if err == nil || !strings.Contains(err.Error(), "size must be small") {
		t.Errorf("the new rule: %v", err)
	}
}

func TestReadyMeansThatGuardedWritesWork(t *testing.T) {
	dir := t.TempDir()
	for range 5 {
		store, err := datastore.Open(t.Context(), datastore.Options{Dir: dir + "/store"})
		if err != nil {
			t.Fatal(err)
		}
		s, err := serve(config(dir, store))
		if err != nil {
			t.Fatal(err)
		}
		made, err := s.dynamic.Resource(widgets).Namespace(ownedName).Create(t.Context(), widget("first", map[string]any{"size": int64(1)}), metav1.CreateOptions{})
		if err != nil {
			t.Errorf("the first write after Ready: %v", err)
		} else if err := s.dynamic.Resource(widgets).Namespace(ownedName).Delete(t.Context(), made.GetName(), metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
		if err := errors.Join(s.stop(), store.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStopEndsOpenWatchesCleanly(t *testing.T) {
	s := own(t, t.TempDir(), nil)
	transport, err := rest.TransportFor(remoteConfig(s.Endpoint()))
	if err != nil {
		t.Fatal(err)
	}
	var watches []*http.Request
	var streams []io.Reader
	for _, path := range []string{"/api/v1/configmaps", "/apis/test.rdd.io/v1/widgets", "/api/v1/namespaces"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Endpoint().URL+path+"?watch=true", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", path, answer.Status)
		}
		watches, streams = append(watches, r), append(streams, answer.Body)
	}
	if err := s.stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	for _, stream := range streams {
		if _, err := io.Copy(io.Discard, stream); err != nil {
			t.Errorf("a watch ended with %v", err)
		}
	}
	if answer, err := transport.RoundTrip(watches[0].Clone(t.Context())); err == nil {
		answer.Body.Close()
		t.Error("the server still answers")
	}
}

func TestBadDefinitionEndsTheStartWithItsName(t *testing.T) {
	dir := t.TempDir()
	store, err := datastore.Open(t.Context(), datastore.Options{Dir: dir + "/store"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	c := config(dir, store)
	bad := definition("Bad", apiextensionsv1.NamespaceScoped)
	bad.Spec.Versions[0].Schema.OpenAPIV3Schema.Type = "nonsense"
	c.CRDs = append(c.CRDs, bad)
	if s, err := serve(c); err == nil {
		s.stop()
		t.Error("it is ready")
	} else if !strings.Contains(err.Error(), bad.Name) {
		t.Errorf("the error doesn't name the definition: %v", err)
	}
}

// A server that was killed between accepting a definition's names and establishing it left an instance
// that never started again.
func TestDefinitionHalfEstablishedByAKilledServerIsServed(t *testing.T) {
	dir := t.TempDir()
	first := own(t, dir, nil)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	first.store.Close()
	const key = "/registry/apiextensions.k8s.io/customresourcedefinitions/widgets.test.rdd.io"
	db, err := sql.Open("sqlite", dir+"/store/state.db")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var id int64
	var text []byte
	if err := db.QueryRow("SELECT id, value FROM kine WHERE name = ? ORDER BY id DESC LIMIT 1", key).Scan(&id, &text); err != nil {
		t.Fatal(err)
	}
	var stored apiextensionsv1.CustomResourceDefinition
	if err := json.Unmarshal(text, &stored); err != nil {
		t.Fatal(err)
	}
	stored.Status.Conditions = slices.DeleteFunc(stored.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
		return c.Type == apiextensionsv1.Established
	})
	if len(stored.Status.Conditions) == 0 {
		t.Fatal("its names were never accepted")
	}
	if text, err = json.Marshal(&stored); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("UPDATE kine SET value = ? WHERE id = ?", text, id); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	own(t, dir, nil)
}

func TestTwoServersOnOnePostgres(t *testing.T) { share(t, datastoretest.Postgres(t)+"/rdd") }

func TestTwoServersOnOneEtcd(t *testing.T) { share(t, datastoretest.Etcd(t)) }

// share runs two servers on one store, as two hosts would, and has one work with what
// the other wrote.
func share(t *testing.T, endpoint string) {
	var servers []*server
	for range 2 {
		store, err := datastore.Open(t.Context(), datastore.Options{Endpoint: endpoint})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		s, err := serve(config(t.TempDir(), store))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.stop() })
		servers = append(servers, s)
	}
	one := servers[0].dynamic.Resource(widgets).Namespace("default")
	other := servers[1].dynamic.Resource(widgets).Namespace("default")
	w, err := other.Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if _, err := one.Create(t.Context(), widget("shared", map[string]any{"size": int64(1)}), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if event, open := <-w.ResultChan(); !open || event.Type != "ADDED" {
		t.Errorf("the other's watch: %v", event)
	}
	if _, err := other.Patch(t.Context(), "shared", types.MergePatchType, []byte(`{"spec":{"size":2}}`), metav1.PatchOptions{}); err != nil {
		t.Errorf("the other's patch: %v", err)
	}
	if _, err := other.Create(t.Context(), widget("shared", nil), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("a name was taken twice: %v", err)
	}
	if err := other.Delete(t.Context(), "shared", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Get(t.Context(), "shared", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after the other's delete: %v", err)
	}
}

func TestHealthSaysWhenTheDatastoreIsGone(t *testing.T) {
	s := own(t, t.TempDir(), nil)
	token := bearer(s.Endpoint().Token)
	for _, path := range []string{"/healthz", "/livez", "/readyz"} {
		if status, body := get(t, s, path+"/datastore", token); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/healthz", "/livez", "/readyz"} {
		if status, body := get(t, s, path, token); status != http.StatusInternalServerError || !strings.Contains(body, "datastore failed") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}
