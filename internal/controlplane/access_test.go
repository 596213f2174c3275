package controlplane_test

import (
	"net/http"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

func TestEveryPathAsksForACredential(t *testing.T) {
	paths := []string{
		"/", "/healthz", "/livez", "/readyz", "/readyz/ping", "/metrics", "/version", "/api", "/apis", "/api/v1", "/openapi/v2", "/openapi/v3",
		"/api/v1/namespaces", "/api/v1/namespaces/default/secrets", "/apis/test.rdd.io/v1/owners", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
		"/rdd/hello", "/debug/pprof/", "/debug/requests", "/logs", "/nothing/here", "/api/v1/namespaces?watch=true",
	}
	for _, path := range paths {
		for name, header := range map[string]http.Header{"none": nil, "wrong": bearer("wrong"), "empty": bearer("")} {
			if status, body := get(t, shared, path, header); status != http.StatusUnauthorized {
				t.Errorf("%s with credential %s: %d %.200s", path, name, status, body)
			}
		}
	}
	for path, want := range map[string]int{"/healthz": 200, "/version": 200, "/rdd/hello": 200, "/nothing/here": 404, "/debug/pprof/": 404} {
		if status, body := get(t, shared, path, bearer(shared.Endpoint().Token)); status != want {
			t.Errorf("%s with the token: %d, want %d: %.200s", path, status, want, body)
		}
	}
}

func TestForeignHostNameIsRefused(t *testing.T) {
	header := bearer(shared.Endpoint().Token)
	header.Set("Host", "rebound.example")
	if status, body := get(t, shared, "/version", header); status != http.StatusMisdirectedRequest {
		t.Errorf("%d %s", status, body)
	}
	header.Set("Host", "localhost")
	if status, body := get(t, shared, "/version", header); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
}

func TestHandlerOfTheServiceAnswers(t *testing.T) {
	if _, body := get(t, shared, "/rdd/hello", bearer(shared.Endpoint().Token)); body != "the nonce" {
		t.Errorf("got %q", body)
	}
}

func TestKubeconfigReachesTheServer(t *testing.T) {
	data, err := shared.Endpoint().Kubeconfig("rdd-test")
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.NewClientConfigFromBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := config.RawConfig()
	if err != nil || raw.CurrentContext != "rdd-test" {
		t.Errorf("context %q, %v", raw.CurrentContext, err)
	}
	c, err := config.ClientConfig()
	if err != nil || c.Host != shared.Endpoint().URL || c.BearerToken != shared.Endpoint().Token {
		t.Errorf("host %q, %v", c.Host, err)
	}
}

func TestDiscoveryOfOldClientsListsCustomGroups(t *testing.T) {
	_, body := get(t, shared, "/apis", bearer(shared.Endpoint().Token))
	for _, group := range []string{`"test.rdd.io"`, `"apiextensions.k8s.io"`, `"coordination.k8s.io"`} {
		if !strings.Contains(body, group) {
			t.Errorf("/apis lacks %s", group)
		}
	}
}

func TestOpenAPIDescribesBuiltInAndCustomKinds(t *testing.T) {
	token := bearer(shared.Endpoint().Token)
	_, v2 := get(t, shared, "/openapi/v2", token)
	_, index := get(t, shared, "/openapi/v3", token)
	_, custom := get(t, shared, "/openapi/v3/apis/test.rdd.io/v1", token)
	_, core := get(t, shared, "/openapi/v3/api/v1", token)
	for _, c := range []struct{ name, document, part string }{
		{"v2", v2, "io.k8s.api.core.v1.ConfigMap"},
		{"v2", v2, "How large it is, in millimetres."},
		{"v2", v2, "CustomResourceDefinitionSpec"},
		{"v3 index", index, "apis/test.rdd.io/v1"},
		{"v3 index", index, "apis/apiextensions.k8s.io/v1"},
		{"v3 index", index, `"api/v1"`},
		{"v3 of a custom group", custom, "Owner is a kind of the tests."},
		{"v3 of a custom group", custom, "Widget is a kind of the tests."},
		{"v3 of core", core, "io.k8s.api.core.v1.ConfigMap"},
	} {
		if !strings.Contains(c.document, c.part) {
			t.Errorf("%s (%d bytes) lacks %s", c.name, len(c.document), c.part)
		}
	}
	if status, _ := get(t, shared, "/openapi/v3/apis/nobody.knows/v1", token); status != http.StatusNotFound {
		t.Errorf("a document of an unknown group: %d", status)
	}
}
