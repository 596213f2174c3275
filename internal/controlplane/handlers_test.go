package controlplane

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"rancherdesktop.io/rdd/internal/datastore"
)

// The garbage collector takes a kind for gone that is answered with 404.
func TestUnknownKindIsNotGoneBeforeAllKindsAreServed(t *testing.T) {
	s := newServer(t, nil)
	const path = "/apis/example.com/v1/things"
	if status := s.ask(path); status != http.StatusServiceUnavailable {
		t.Errorf("before: %d", status)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-s.Ready()
	<-s.installed
	if status := s.ask(path); status != http.StatusNotFound {
		t.Errorf("after: %d", status)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestRequestThatPanicsOrHangsIsAnswered(t *testing.T) {
	s := newServer(t, map[string]http.Handler{
		"/panic": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("in a handler") }),
		"/hang":  http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
		"/fine":  http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
	})
	for path, want := range map[string]int{"/panic": http.StatusInternalServerError, "/hang?timeout=10ms": http.StatusGatewayTimeout, "/fine": http.StatusOK} {
		if status := s.ask(path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
}

// newServer makes a server that doesn't run.
func newServer(t *testing.T, handlers map[string]http.Handler) *Server {
	t.Helper()
	dir := t.TempDir()
	store, err := datastore.Open(t.Context(), datastore.Options{Dir: filepath.Join(dir, "store")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	s, err := New(t.Context(), Config{Dir: dir, Store: store, Handlers: handlers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.listener.Close() })
	return s
}

// ask sends the server a request as its owner, without a connection, and returns the answer's status.
// A handler's panic ends here, as it would end in net/http.
func (s *Server) ask(path string) (status int) {
	r := httptest.NewRequest(http.MethodGet, s.Endpoint().URL+path, nil)
	r.Header.Set("Authorization", "Bearer "+s.Endpoint().Token)
	w := httptest.NewRecorder()
	defer func() {
		_ = recover()
		status = w.Code
	}()
	s.native.Handler.ServeHTTP(w, r)
	return w.Code
}
