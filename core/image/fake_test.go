package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/instance"
)

// fakeEngine serves an instance's engine socket.
type fakeEngine struct {
	*Client
	mux  *http.ServeMux
	home string
}

// newFakeEngine returns an engine without images, and a client with an empty home and a PATH of its own.
func newFakeEngine(t *testing.T) *fakeEngine {
	t.Helper()
	c, home := newClient(t)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", c.core.Instance().DockerSocket())
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.45") })
	mux.HandleFunc("GET /v1.45/version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"Version":"26.1.5"}`) })
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return &fakeEngine{c, mux, home}
}

// newClient returns a client of an instance whose engine's socket does not exist.
func newClient(t *testing.T) (c *Client, home string) {
	t.Helper()
	home, err := os.MkdirTemp("", "image") // not t.TempDir: the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	for _, dir := range []string{"default", "bin", ".docker"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	c = New(core.New(instance.At(home, "default", ""), "test"))
	c.env = slices.DeleteFunc(c.env, func(v string) bool {
		return strings.HasPrefix(v, "PATH=") || strings.HasPrefix(v, "HOME=") || strings.HasPrefix(v, "DOCKER_CONFIG=")
	})
	c.env = append(c.env, "HOME="+home, "PATH="+filepath.Join(home, "bin"))
	return c, home
}

// write writes a file in the home.
func write(t *testing.T, home, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// said records what is reported, as text.
type said struct {
	mu    sync.Mutex
	lines []string
	log   strings.Builder
}

func (s *said) add(format string, a ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf(format, a...))
}

func (s *said) report() Report {
	return Report{
		Part: func(p Part) {
			done := ""
			if p.Done {
				done = " done"
			}
			s.add("%s: %s %d/%d%s", p.ID, p.Status, p.Current, p.Total, done)
		},
		Message: func(line string) { s.add("%s", line) },
		Log:     func(text string) { s.log.WriteString(text) },
		Bytes:   func(done, total int64) { s.add("%d/%d", done, total) },
	}
}

func (s *said) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(s.lines, want) {
		t.Errorf("reported\n%s\nwant\n%s", strings.Join(s.lines, "\n"), strings.Join(want, "\n"))
	}
}

// archiveOf returns a tar archive with one file.
func archiveOf(t *testing.T, name, text string) io.Reader {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(text))})
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return &b
}
