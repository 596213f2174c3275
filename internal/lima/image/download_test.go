//go:build unix

package image

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/lima/limatest"
	"rancherdesktop.io/rdd/internal/testenv"

	"github.com/opencontainers/go-digest"

	"rancherdesktop.io/rdd/internal/machine/layout"
)

// newDownload is a download of the picture from s, and what its cache has in the end.
func newDownload(t *testing.T, s http.Handler) *download {
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return &download{url: server.URL + "/image.raw", digest: digest.Digest(limatest.Digest(limatest.Image())), dir: t.TempDir(), stallTimeout: testenv.Timeout, begin: func(Operation) {}, report: func(int64, int64) {}}
}

// whole fails the test unless the download brings the whole picture.
func (d *download) whole(t *testing.T) {
	t.Helper()
	path, err := d.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, limatest.Image()) {
		t.Fatal("another file than the server's", err)
	}
	if layout.Exists(d.part()) || layout.Exists(d.validator()) {
		t.Error("something is left of the download")
	}
}

// leave writes files such as an earlier download has left.
func (d *download) leave(t *testing.T, files map[string]string) {
	t.Helper()
	for path, text := range files {
		limatest.WriteFile(t, path, text)
	}
}

func TestDownloadCutInHalfGoesOn(t *testing.T) {
	for name, s := range map[string]*limatest.Server{"a tagged file": {Cut: 1, Tag: `"1"`}, "a file with no tag": {Cut: 1}, "cut again and again": {Cut: 4, Tag: `"1"`}} {
		t.Run(name, func(t *testing.T) {
			newDownload(t, s).whole(t)
			if s.Ranges[1] != fmt.Sprintf("bytes=%d-", len(limatest.Image())/2) {
				t.Errorf("asked for %q", s.Ranges)
			}
		})
	}
}

func TestDownloadGoesOnAfterTheServerWasGone(t *testing.T) {
	s := &limatest.Server{Cut: 1, Tag: `"1"`}
	d := newDownload(t, s)
	var total int64
	d.report = func(done, of int64) {
		if total = of; done == of/2 {
			s.Status = http.StatusServiceUnavailable
		}
	}
	if _, err := d.get(t.Context()); err == nil || !strings.Contains(err.Error(), "503") {
		t.Fatal(err)
	}
	s.Status = 0
	d.whole(t)
	if len(s.Ranges) != 2 || s.Ranges[1] == "" || total != int64(len(limatest.Image())) {
		t.Errorf("asked for %q, of %d bytes", s.Ranges, total)
	}
}

func TestDownloadOfAnotherFileStartsOver(t *testing.T) {
	for name, s := range map[string]*limatest.Server{"its tag changed": {Tag: `"2"`}, "the server knows no ranges": {NoRanges: true}, "it has no tag": {}} {
		t.Run(name, func(t *testing.T) {
			d := newDownload(t, s)
			d.leave(t, map[string]string{d.part(): "the first half of an older file"})
			if s.Tag != "" {
				d.leave(t, map[string]string{d.validator(): `"1"`})
			}
			d.whole(t)
		})
	}
}

func TestDownloadThatIsLongerThanTheFileStartsOver(t *testing.T) {
	d := newDownload(t, &limatest.Server{})
	if err := os.WriteFile(d.part(), append(limatest.Image(), 'x'), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.get(t.Context()); err == nil {
		t.Fatal("the server has no such range")
	}
	d.whole(t)
}

func TestFileWithoutDigestIsAskedForAgain(t *testing.T) {
	s := &limatest.Server{}
	d := newDownload(t, s)
	d.digest = ""
	d.whole(t)
	d.whole(t) // the server doesn't say when it was changed
	if s.Served != 2 {
		t.Error("served", s.Served)
	}
	if err := os.WriteFile(d.modifiedFile(), []byte("Thu, 01 Jan 2026 00:00:00 GMT"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Status = http.StatusServiceUnavailable
	d.whole(t)
}

func TestDownloadThatWasKilledWhenItHadEverythingIsUsed(t *testing.T) {
	for name, tag := range map[string]string{"a tagged file": `"1"`, "a file with no tag": ""} {
		t.Run(name, func(t *testing.T) {
			s := &limatest.Server{Tag: tag}
			d := newDownload(t, s)
			d.leave(t, map[string]string{d.part(): string(limatest.Image()), d.validator(): tag})
			d.whole(t)
			if s.Served != 1 {
				t.Errorf("asked for %q", s.Ranges)
			}
		})
	}
}

func TestFileIsNotMixedFromTwoWhenADownloadIsKilled(t *testing.T) {
	t.Run("before it writes the first byte of the new one", func(t *testing.T) {
		s := &limatest.Server{Tag: `"2"`}
		answers := 0
		d := newDownload(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if answers++; answers > 1 {
				s.ServeHTTP(w, r)
				return
			}
			w.Header().Set("ETag", s.Tag)
			w.Header().Set("Content-Length", fmt.Sprint(1<<60)) // there is no space for it: that ends the download like a kill
		}))
		d.digest = ""
		d.leave(t, map[string]string{d.part(): "the first half of an older file", d.validator(): `"1"`})
		if _, err := d.get(t.Context()); err == nil {
			t.Fatal("the disk has space for everything")
		}
		d.whole(t)
	})
	t.Run("and the next one has no digest", func(t *testing.T) {
		d := newDownload(t, &limatest.Server{Tag: `"2"`, Cut: 1})
		d.leave(t, map[string]string{d.part(): "the first half of an older file"})
		if _, err := d.request(t.Context()); err == nil {
			t.Fatal("it was not cut")
		}
		d.digest = ""
		d.whole(t)
	})
}

func TestOldFileIsNotTakenForTheNewOneWhenADownloadIsKilled(t *testing.T) {
	s := &limatest.Server{Modified: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}
	d := newDownload(t, s)
	d.digest = ""
	limatest.WriteFile(t, filepath.Join(d.data(), "x"), "") // a folder can't be replaced: that ends the download like a kill
	d.leave(t, map[string]string{d.modifiedFile(): "Thu, 01 Jan 2026 00:00:00 GMT"})
	if _, err := d.get(t.Context()); err == nil {
		t.Fatal("a folder was replaced")
	}
	if err := os.RemoveAll(d.data()); err != nil {
		t.Fatal(err)
	}
	d.leave(t, map[string]string{d.data(): "the older file"})
	d.whole(t)
}

func TestNewFileIsNotTakenForOneWithTheOldDigest(t *testing.T) {
	for _, next := range []digest.Digest{"", digest.FromBytes(limatest.Image())} {
		d := newDownload(t, &limatest.Server{})
		d.digest = digest.SHA512.FromString("the older file")
		d.leave(t, map[string]string{d.data(): "the older file", d.digestFile(): d.digest.String()})
		now := *d
		now.digest = next
		now.whole(t)
		if _, err := d.get(t.Context()); !errors.Is(err, errMismatch) {
			t.Error("the new file is taken for the older one", err)
		}
	}
}

func TestSilentServerIsGivenUp(t *testing.T) {
	s := &limatest.Server{Hold: make(chan struct{})}
	d := newDownload(t, s)
	defer close(s.Hold)
	d.stallTimeout = 5 * time.Second // longer than a busy machine takes to send the half
	_, err := d.get(t.Context())
	if !errors.Is(err, errStalled) {
		t.Fatal(err)
	}
	limatest.IsProblem(t, err, diag.DownloadCut)
	if size(d.part()) != int64(len(limatest.Image())/2) {
		t.Error("what came was not kept")
	}
}

func TestFullDiskIsNamedBeforeItIsFilled(t *testing.T) {
	dir := t.TempDir()
	if err := checkSpace(dir, 1); err != nil {
		t.Fatal(err)
	}
	if err := checkSpace(dir, 1<<60); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "1EiB are needed") {
		t.Fatal(err)
	}
}
