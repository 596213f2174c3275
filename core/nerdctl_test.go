package core

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"rancherdesktop.io/rdd/internal/instance"
)

// nerdctlArchive returns a tar.gz archive with one program.
func nerdctlArchive(t *testing.T, name string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	text := "#!/bin/sh\n"
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	_ = z.Close()
	return out.Bytes()
}

func TestOnlyTheArchiveWithTheDigestIsInstalled(t *testing.T) {
	home, err := os.MkdirTemp("", "rdd") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	t.Setenv("HOME", home)
	inst, err := instance.Resolve("default")
	if err != nil {
		t.Fatal(err)
	}
	c := New(inst, "test")
	n := c.Nerdctl()
	good, other := nerdctlArchive(t, "./bin/nerdctl"), nerdctlArchive(t, "nerdctl")
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		if r.URL.Path != "/good" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(good)
	}))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "other.tar.gz")
	if err := os.WriteFile(file, other, 0o600); err != nil {
		t.Fatal(err)
	}
	want := digest.FromBytes(good)
	for _, tc := range []struct{ from, sum, says string }{
		{server.URL + "/good", "sha256:12", "must be sha256:"},
		{server.URL + "/good", digest.SHA512.FromBytes(good).String(), "must be sha256:"},
		{server.URL + "/good", digest.FromString("x").String(), "it has the digest " + want.String()},
		{server.URL + "/none", want.String(), "404"},
		{file, want.String(), "is another file or was damaged"},
		{file, digest.FromBytes(other).String(), "it has no bin/nerdctl"},
		{file + "x", want.String(), "no such file"},
	} {
		if err := n.Install(t.Context(), tc.from, tc.sum, nil); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s with %s: %v, want %q", tc.from, tc.sum, err, tc.says)
		}
	}
	if left, _ := os.ReadDir(c.inst.NerdctlDir()); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	var done, total int64
	if err := n.Install(t.Context(), server.URL+"/good", want.String(), func(d, all int64) { done, total = d, all }); err != nil {
		t.Fatal(err)
	}
	if done != int64(len(good)) || total != done {
		t.Errorf("%d of %d bytes", done, total)
	}
	before := requests
	if err := n.Install(t.Context(), server.URL+"/none", want.String(), nil); err != nil || requests != before {
		t.Errorf("the archive is there already: %v, %d requests", err, requests-before)
	}
	if err := os.WriteFile(n.archive(want), other, 0o600); err != nil { // damaged
		t.Fatal(err)
	}
	if err := n.Install(t.Context(), server.URL+"/good", want.String(), nil); err != nil || check(n.archive(want), want) != nil {
		t.Errorf("a damaged archive was not replaced: %v", err)
	}
}
