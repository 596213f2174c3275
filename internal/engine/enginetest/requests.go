package enginetest

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"

	"rancherdesktop.io/rdd/internal/testenv"
	"rancherdesktop.io/rdd/internal/view"
)

// Resource returns a resource of an engine.
func Resource(t *testing.T, all []view.Resource, name string) view.Resource {
	t.Helper()
	i := slices.IndexFunc(all, func(r view.Resource) bool { return r.Name == name })
	if i < 0 {
		t.Fatalf("there are no %s", name)
	}
	return all[i]
}

// Served serves the subresources below /RESOURCE/NAME/SUBRESOURCE, as the API server does.
func Served(t *testing.T, resources []view.Resource) (address string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		parts := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/"), "/", 4)
		i := slices.IndexFunc(resources, func(r view.Resource) bool { return r.Name == parts[0] })
		o, err := resources[i].Store.Get(parts[1])
		sub, ok := resources[i].Subresources[parts[2]]
		if err != nil || !ok || !slices.Contains(sub.Methods, r.Method) {
			http.NotFound(w, r)
			return
		}
		below := ""
		if len(parts) == 4 {
			below = "/" + parts[3]
		}
		r.URL = &url.URL{Path: below, RawQuery: r.URL.RawQuery}
		sub.Handler(o).ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// Request sends a request without a body, and returns the whole answer.
func Request(t *testing.T, method, address string) (code int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(all)
}

// Execute runs a command as kubectl exec does.
func Execute(t *testing.T, address string, query url.Values, o remotecommand.StreamOptions) error {
	t.Helper()
	for name, on := range map[string]bool{"stdin": o.Stdin != nil, "stdout": o.Stdout != nil, "stderr": o.Stderr != nil, "tty": o.Tty} {
		if on {
			query.Set(name, "true")
		}
	}
	x, err := remotecommand.NewWebSocketExecutor(&rest.Config{Host: address}, http.MethodGet, address+"?"+query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Timeout)
	defer cancel()
	return x.StreamWithContext(ctx, o)
}

// Sizes are those of a terminal, one after the other.
type Sizes chan *remotecommand.TerminalSize

// Next is that of remotecommand.TerminalSizeQueue.
func (s Sizes) Next() *remotecommand.TerminalSize { return <-s }

// Archive returns a tar archive of programs.
func Archive(files map[string][]byte) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for name, content := range files {
		_ = w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))})
		_, _ = w.Write(content)
	}
	_ = w.Close()
	return out.Bytes()
}
