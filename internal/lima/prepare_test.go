//go:build unix

package lima

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

const mib = 1 << 20

// picture is the content of an image.
func picture() []byte {
	b := bytes.Repeat([]byte("picture "), 4*mib/8)
	return b
}

func sum(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// writeImage makes an image file.
func writeImage(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "image.raw")
	if err := os.WriteFile(path, picture(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// prepareVM runs Prepare and returns its events.
func prepareVM(ctx context.Context, vm layout.VM, template string) ([]event.Event, error) {
	var out bytes.Buffer
	err := Prepare(ctx, PrepareOptions{VM: vm, Template: []byte("plain: true\nfirmware: {legacyBIOS: true}\n" + template), AsRoot: true}, event.NewWriter(&out))
	var all []event.Event
	_ = event.Read(&out, func(e event.Event) { all = append(all, e) }, func(line string) { panic(line) })
	return all, err
}

func programs(t *testing.T) { needs(t, "qemu-img", "qemu-system-x86_64", "ssh", "ssh-keygen") }

func TestPrepareAgainAndAgain(t *testing.T) {
	programs(t)
	vm := newVM(t)
	path := writeImage(t)
	template := fmt.Sprintf("images: [{location: %s, digest: %q, kernel: {location: %s, cmdline: quiet}, initrd: {location: %s}}]\ndisk: 32MiB\n", path, sum(picture()), path, path)
	events, err := prepareVM(t.Context(), vm, template)
	if err != nil {
		t.Fatal(err)
	}
	var phases []string
	for _, e := range events {
		if len(phases) == 0 || phases[len(phases)-1] != e.Phase {
			phases = append(phases, e.Phase)
		}
		if e.Steps != 6 { // the image is checked, then copied
			t.Errorf("%+v", e)
		}
	}
	if got := strings.Join(phases, " "); got != "check image kernel initrd disk" {
		t.Error(got)
	}
	for _, name := range []string{"lima.yaml", "basedisk", "diffdisk", "kernel", "kernel.cmdline", "initrd", "rdd.prepared"} {
		if !layout.Exists(filepath.Join(vm.Dir(), name)) {
			t.Error("no", name)
		}
	}
	// The disk holds somebody's data now; it stays, and grows.
	before, err := os.Stat(filepath.Join(vm.Dir(), "diffdisk"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := prepareVM(t.Context(), vm, strings.Replace(template, "32MiB", "64MiB", 1)+"cpus: 3\n"); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(filepath.Join(vm.Dir(), "diffdisk"))
	if err != nil || !os.SameFile(before, after) {
		t.Error("the disk was made again", err)
	}
	if size, _ := virtualSize(filepath.Join(vm.Dir(), "diffdisk")); size != 64*mib {
		t.Error("the disk has", size)
	}
	yaml, _ := os.ReadFile(filepath.Join(vm.Dir(), "lima.yaml"))
	if !strings.Contains(string(yaml), `"cpus": 3`) {
		t.Errorf("%s", yaml)
	}
	_, err = prepareVM(t.Context(), vm, template)
	if p, ok := errors.AsType[*PermanentError](err); !ok || p.Field != "disk" {
		t.Error("shrinking:", err)
	}
	if err := Remove(t.Context(), vm); err != nil || layout.Exists(vm.Dir()) {
		t.Error(err)
	}
	if err := Remove(t.Context(), vm); err != nil {
		t.Error("removing what is gone:", err)
	}
}

func TestPrepareRefusals(t *testing.T) {
	programs(t)
	vm := newVM(t)
	path := writeImage(t)
	other := sum([]byte("another"))
	for _, tc := range []struct{ name, template, field, says string }{
		{"digest mismatch", fmt.Sprintf("images: [{location: %s, digest: %q}]", path, other), "images[0].digest", other},
		{"kernel's digest mismatch", fmt.Sprintf("images: [{location: %s, kernel: {location: %s, digest: %q}}]", path, path, other), "images[0].kernel.digest", other},
		{"missing file", "images: [{location: /no/such.img}]", "images[0].location", "no file /no/such.img"},
		{"all images wrong", fmt.Sprintf("images: [{location: /no/such.img}, {location: %s, digest: %q}]", path, other), "", "images[1].digest"},
		{"disk too small", fmt.Sprintf("images: [{location: %s}]\ndisk: 2MiB", path), "disk", "too small"},
		{"invalid", "images: 3", "images", "line"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := prepareVM(t.Context(), vm, tc.template+"\n")
			p, ok := errors.AsType[*PermanentError](err)
			if !ok || p.Field != tc.field || !strings.Contains(p.Error(), tc.says) {
				t.Fatalf("%T %v", err, err)
			}
			if layout.Exists(vm.Dir()) {
				t.Error("a half-made VM was left")
			}
		})
	}
}

func TestDiskSmallerThanTheImage(t *testing.T) {
	programs(t)
	vm := newVM(t)
	path := filepath.Join(t.TempDir(), "large.raw")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 100*mib); err != nil {
		t.Fatal(err)
	}
	_, err := prepareVM(t.Context(), vm, "images: [{location: "+path+"}]\ndisk: 50MiB\n")
	if p, ok := errors.AsType[*PermanentError](err); !ok || p.Field != "disk" || !strings.Contains(p.Error(), "100MiB") {
		t.Fatal(err)
	}
}

// The disk is whole, and the service knows the template: what is lost of the configuration is written again.
func TestConfigurationThatIsGoneOrZerosIsWrittenAgain(t *testing.T) {
	programs(t)
	vm := newVM(t)
	template := "images: [{location: " + writeImage(t) + "}]\ndisk: 16MiB\n"
	if _, err := prepareVM(t.Context(), vm, template); err != nil {
		t.Fatal(err)
	}
	config, disk := filepath.Join(vm.Dir(), "lima.yaml"), filepath.Join(vm.Dir(), "diffdisk")
	want, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(disk)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func() error{
		"gone":  func() error { return os.Remove(config) },
		"zeros": func() error { return os.WriteFile(config, make([]byte, len(want)), 0o600) },
		"empty": func() error { return os.WriteFile(config, nil, 0o600) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if _, err := prepareVM(t.Context(), vm, template); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := os.ReadFile(config); err != nil || string(got) != string(want) {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
		if after, err := os.Stat(disk); err != nil || !os.SameFile(before, after) {
			t.Errorf("%s: the disk was made again", name)
		}
	}
}

func TestInterruptedPrepareIsMended(t *testing.T) {
	programs(t)
	vm := newVM(t)
	path := writeImage(t)
	template := fmt.Sprintf("images: [{location: %s, digest: %q}]\ndisk: 32MiB\n", path, sum(picture()))
	// As a kill in the middle of the copy leaves it.
	if err := os.MkdirAll(vm.Dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"rdd.making": "", "lima.yaml": "images: [", "basedisk": "half"} {
		if err := os.WriteFile(filepath.Join(vm.Dir(), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := prepareVM(t.Context(), vm, template); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(vm.Dir(), "basedisk")); err != nil || !bytes.Equal(b, picture()) {
		t.Error("the image is not whole", err)
	}
}

func TestMissingProgramsNameTheirPackages(t *testing.T) {
	vm := newVM(t)
	t.Setenv("PATH", t.TempDir())
	_, err := prepareVM(t.Context(), vm, image)
	if p, ok := errors.AsType[*PermanentError](err); !ok || !strings.Contains(p.Error(), "qemu-system-x86 ") || !strings.Contains(p.Error(), "qemu-utils") || !strings.Contains(p.Error(), "openssh-client") {
		t.Fatal(err)
	}
	if layout.Exists(vm.Dir()) {
		t.Error("something was made")
	}
}

func TestVMInUseIsLeftAlone(t *testing.T) {
	vm := newVM(t)
	if err := os.MkdirAll(vm.Run(), 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := proc.Acquire(vm.DiskLock())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Release() }()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := Remove(ctx, vm); !errors.Is(err, proc.ErrLocked) {
		t.Error(err)
	}
	if _, err := prepareVM(ctx, vm, image); !errors.Is(err, proc.ErrLocked) {
		t.Error(err)
	}
}

// site serves the picture, as said.
type site struct {
	status   int           // 0: all is well
	cut      int           // so many times, after half of what was asked for
	hold     chan struct{} // after the first half, until closed
	tag      string        // the file's, if any
	noRanges bool          // only ever the whole
	served   int
	ranges   []string // that were asked for
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.status != 0 {
		w.WriteHeader(s.status)
		return
	}
	if r.Method == http.MethodGet {
		s.served++
		s.ranges = append(s.ranges, r.Header.Get("Range"))
	}
	if s.hold != nil && r.Header.Get("Range") != "" { // it has said its half
		<-r.Context().Done()
		return
	}
	if s.noRanges {
		r.Header.Del("Range")
	}
	if s.tag != "" {
		w.Header().Set("ETag", s.tag)
	}
	http.ServeContent(&half{w, s, r}, r, "image.raw", time.Time{}, bytes.NewReader(picture()))
}

// half breaks off, or waits, after the first half of an answer.
type half struct {
	http.ResponseWriter
	s *site
	r *http.Request
}

// ReadFrom is what http.ServeContent's copying uses.
func (h *half) ReadFrom(from io.Reader) (int64, error) {
	b, err := io.ReadAll(from)
	if err != nil {
		return 0, err
	}
	_, _ = h.Write(b[:len(b)/2])
	h.ResponseWriter.(http.Flusher).Flush()
	switch {
	case h.s.cut > 0:
		h.s.cut--
		panic(http.ErrAbortHandler)
	case h.s.hold != nil:
		select {
		case <-h.s.hold:
		case <-h.r.Context().Done():
			return 0, h.r.Context().Err()
		}
	}
	_, err = h.Write(b[len(b)/2:])
	return int64(len(b)), err
}

func TestDownload(t *testing.T) {
	programs(t)
	vm := newVM(t)
	s := &site{}
	server := httptest.NewServer(s)
	defer server.Close()
	template := func(digest string) string {
		return fmt.Sprintf("images: [{location: %s/image.raw, digest: %q}]\ndisk: 32MiB\n", server.URL, digest)
	}
	for _, tc := range []struct {
		name      string
		site      site
		digest    string
		permanent bool
	}{
		{"cut off", site{cut: 100}, sum(picture()), false},
		{"server's trouble", site{status: http.StatusServiceUnavailable}, sum(picture()), false},
		{"no such file", site{status: http.StatusNotFound}, sum(picture()), true},
		{"digest mismatch", site{}, sum([]byte("another")), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			*s = tc.site
			_, err := prepareVM(t.Context(), vm, template(tc.digest))
			if _, permanent := errors.AsType[*PermanentError](err); err == nil || permanent != tc.permanent {
				t.Fatalf("permanent %v: %v", permanent, err)
			}
			if layout.Exists(vm.Dir()) {
				t.Error("a half-made VM was left")
			}
		})
	}
	*s = site{}
	events, err := prepareVM(t.Context(), vm, template(sum(picture())))
	if err != nil {
		t.Fatal(err)
	}
	sized := false
	for _, e := range events {
		sized = sized || e.Total == int64(len(picture()))
	}
	if !sized {
		t.Error("no event says how large the download is")
	}
	second := vm
	second.Name = "second"
	if _, err := prepareVM(t.Context(), second, template(sum(picture()))); err != nil || s.served != 1 {
		t.Error("the cache was not used:", s.served, err)
	}
}

func TestCanceledDownload(t *testing.T) {
	programs(t)
	vm := newVM(t)
	s := &site{hold: make(chan struct{})}
	server := httptest.NewServer(s)
	defer server.Close()
	defer close(s.hold)
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	go func() {
		_ = event.Read(r, func(e event.Event) {
			if e.Bytes > 0 {
				cancel()
			}
		}, func(string) {})
	}()
	template := fmt.Sprintf("plain: true\nimages: [{location: %s/image.raw}]\ndisk: 32MiB\n", server.URL)
	err := Prepare(ctx, PrepareOptions{VM: vm, Template: []byte(template), AsRoot: true}, event.NewWriter(w))
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if layout.Exists(vm.Dir()) {
		t.Error("a half-made VM was left")
	}
	cache := filepath.Join(filepath.Dir(vm.Home), "cache")
	_ = filepath.WalkDir(cache, func(path string, _ os.DirEntry, _ error) error {
		if strings.Contains(path, ".tmp.") {
			t.Error("left in the cache:", path)
		}
		return nil
	})
}

// What is shown as a bar goes on to its end: each pass over the bytes of an image is a step of its own.
func TestNoBarGoesBackWithinAStep(t *testing.T) {
	programs(t)
	s := &site{}
	server := httptest.NewServer(s)
	defer server.Close()
	path, right, other := writeImage(t), sum(picture()), sum([]byte("another"))
	for _, tc := range []struct {
		name, images string
		site         site
		steps        int // of the image
	}{
		{"local", fmt.Sprintf("[{location: %s, digest: %q}]", path, right), site{}, 2},
		{"no digest", fmt.Sprintf("[{location: %s}]", path), site{}, 1},
		{"download", fmt.Sprintf("[{location: %s/a.raw, digest: %q}]", server.URL, right), site{}, 3},
		{"goes on", fmt.Sprintf("[{location: %s/b.raw, digest: %q}]", server.URL, right), site{cut: 2}, 3},
		{"starts over", fmt.Sprintf("[{location: %s/c.raw, digest: %q}]", server.URL, right), site{cut: 1, noRanges: true}, 4},
		{"the second image", fmt.Sprintf("[{location: %s/d.raw, digest: %q}, {location: %s, digest: %q}]", server.URL, other, path, right), site{}, 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			*s = tc.site
			var out bytes.Buffer
			vm := newVM(t)
			template := "plain: true\nfirmware: {legacyBIOS: true}\ndisk: 32MiB\nimages: " + tc.images + "\n"
			p := &preparer{o: PrepareOptions{VM: vm, Template: []byte(template), AsRoot: true}, vm: vm, progress: newProgress(event.NewWriter(&out))}
			p.progress.minInterval = 0 // nothing is left out
			err := p.run(t.Context())
			p.progress.stop()
			if err != nil {
				t.Fatal(err)
			}
			var last event.Event
			full := map[int32]bool{}
			if err := event.Read(&out, func(e event.Event) {
				if e.Step < last.Step || e.Step > e.Steps || e.Step == last.Step && e.Bytes < last.Bytes {
					t.Errorf("%+v after %+v", e, last)
				}
				last = e
				if e.Phase == event.Image {
					full[e.Step] = full[e.Step] || e.Bytes == e.Total
				}
			}, func(line string) { t.Error(line) }); err != nil {
				t.Fatal(err)
			}
			if len(full) != tc.steps || last.Step != last.Steps || last.Phase != event.Disk {
				t.Errorf("steps of the image, and whether each came to its end: %v; the last step: %+v", full, last)
			}
		})
	}
}

// newDownload is a download of the picture from s, and what its cache has in the end.
func newDownload(t *testing.T, s *site) *download {
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return &download{url: server.URL + "/image.raw", digest: digest.Digest(sum(picture())), dir: t.TempDir(), stallTimeout: limit, begin: func(operation) {}, report: func(int64, int64) {}}
}

// whole fails the test unless the download brings the whole picture.
func (d *download) whole(t *testing.T) {
	t.Helper()
	path, err := d.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, picture()) {
		t.Fatal("another file than the server's", err)
	}
	if layout.Exists(d.part()) || layout.Exists(d.validator()) {
		t.Error("something is left of the download")
	}
}

func TestDownloadCutInHalfGoesOn(t *testing.T) {
	for name, s := range map[string]*site{"a tagged file": {cut: 1, tag: `"1"`}, "a file with no tag": {cut: 1}, "cut again and again": {cut: 4, tag: `"1"`}} {
		t.Run(name, func(t *testing.T) {
			newDownload(t, s).whole(t)
			if s.ranges[1] != fmt.Sprintf("bytes=%d-", len(picture())/2) {
				t.Errorf("asked for %q", s.ranges)
			}
		})
	}
}

func TestDownloadGoesOnAfterTheServerWasGone(t *testing.T) {
	s := &site{cut: 1, tag: `"1"`}
	d := newDownload(t, s)
	var total int64
	d.report = func(done, of int64) {
		if total = of; done == of/2 {
			s.status = http.StatusServiceUnavailable
		}
	}
	if _, err := d.get(t.Context()); err == nil || !strings.Contains(err.Error(), "503") {
		t.Fatal(err)
	}
	s.status = 0
	d.whole(t)
	if len(s.ranges) != 2 || s.ranges[1] == "" || total != int64(len(picture())) {
		t.Errorf("asked for %q, of %d bytes", s.ranges, total)
	}
}

func TestDownloadOfAnotherFileBeginsAnew(t *testing.T) {
	for name, s := range map[string]*site{"its tag changed": {tag: `"2"`}, "the server knows no ranges": {noRanges: true}, "it has no tag": {}} {
		t.Run(name, func(t *testing.T) {
			d := newDownload(t, s)
			for file, text := range map[string]string{d.part(): "the first half of an older file", d.validator(): `"1"`} {
				if s.tag == "" && file == d.validator() {
					continue
				}
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			d.whole(t)
		})
	}
}

func TestDownloadThatIsLongerThanTheFileBeginsAnew(t *testing.T) {
	d := newDownload(t, &site{})
	if err := os.WriteFile(d.part(), append(picture(), 'x'), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.get(t.Context()); err == nil {
		t.Fatal("the server has no such range")
	}
	d.whole(t)
}

func TestFileWithoutDigestIsAskedForAgain(t *testing.T) {
	s := &site{}
	d := newDownload(t, s)
	d.digest = ""
	d.whole(t)
	d.whole(t) // the server doesn't say when it was changed
	if s.served != 2 {
		t.Error("served", s.served)
	}
	if err := os.WriteFile(d.modifiedFile(), []byte("Thu, 01 Jan 2026 00:00:00 GMT"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.status = http.StatusServiceUnavailable
	d.whole(t)
}

func TestSilentServerIsGivenUp(t *testing.T) {
	s := &site{hold: make(chan struct{})}
	d := newDownload(t, s)
	defer close(s.hold)
	d.stallTimeout = time.Second // longer than a busy machine takes to send the half
	if _, err := d.get(t.Context()); !errors.Is(err, errStalled) {
		t.Fatal(err)
	}
	if size(d.part()) != int64(len(picture())/2) {
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
