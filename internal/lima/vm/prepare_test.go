//go:build unix

package vm

import (
	"bytes"
	"context"
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

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/lima/limatest"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/lima/image"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// prepareVM runs Prepare and returns its events.
func prepareVM(ctx context.Context, vm layout.VM, template string) ([]event.Event, error) {
	var out bytes.Buffer
	err := Prepare(ctx, PrepareOptions{VM: vm, Template: []byte("plain: true\nfirmware: {legacyBIOS: true}\n" + template), AsRoot: true}, event.NewWriter(&out))
	var all []event.Event
	_ = event.Read(&out, func(e event.Event) { all = append(all, e) }, func(line string) { panic(line) })
	return all, err
}

func TestPrepareAgainAndAgain(t *testing.T) {
	limatest.NeedsVMPrograms(t)
	vm := limatest.NewVM(t)
	path := limatest.WriteImage(t)
	template := fmt.Sprintf("images: [{location: %s, digest: %q, kernel: {location: %s, cmdline: quiet}, initrd: {location: %s}}]\ndisk: 32MiB\n", path, limatest.Digest(limatest.Image()), path, path)
	events, err := prepareVM(t.Context(), vm, template)
	if err != nil {
		t.Fatal(err)
	}
	var phases []string
	for _, e := range events {
		if len(phases) == 0 || phases[len(phases)-1] != e.Phase {
			phases = append(phases, e.Phase)
		}
		if e.Steps != 8 { // the image is checked, then copied, and the others are read, then copied
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
	if size, _ := image.VirtualSize(filepath.Join(vm.Dir(), "diffdisk")); size != 64*limatest.MiB {
		t.Error("the disk has", size)
	}
	yaml, _ := os.ReadFile(filepath.Join(vm.Dir(), "lima.yaml"))
	if !strings.Contains(string(yaml), `"cpus": 3`) {
		t.Errorf("%s", yaml)
	}
	_, err = prepareVM(t.Context(), vm, template)
	if p, ok := errors.AsType[*lima.PermanentError](err); !ok || p.Field != "disk" {
		t.Error("shrinking:", err)
	}
	if err := Remove(t.Context(), vm, RemoveOptions{}); err != nil || layout.Exists(vm.Dir()) {
		t.Error(err)
	}
	if err := Remove(t.Context(), vm, RemoveOptions{}); err != nil {
		t.Error("removing what is gone:", err)
	}
}

func TestPrepareRefusals(t *testing.T) {
	limatest.NeedsVMPrograms(t)
	vm := limatest.NewVM(t)
	path := limatest.WriteImage(t)
	other := limatest.Digest([]byte("another"))
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
			p, ok := errors.AsType[*lima.PermanentError](err)
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
	limatest.NeedsVMPrograms(t)
	vm := limatest.NewVM(t)
	path := filepath.Join(t.TempDir(), "large.raw")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 100*limatest.MiB); err != nil {
		t.Fatal(err)
	}
	_, err := prepareVM(t.Context(), vm, "images: [{location: "+path+"}]\ndisk: 50MiB\n")
	if p, ok := errors.AsType[*lima.PermanentError](err); !ok || p.Field != "disk" || !strings.Contains(p.Error(), "100MiB") {
		t.Fatal(err)
	}
}

// The disk is whole, and the service knows the template: what is lost of the configuration is written again.
func TestConfigurationThatIsGoneOrZerosIsWrittenAgain(t *testing.T) {
	limatest.NeedsVMPrograms(t)
	vm := limatest.NewVM(t)
	template := "images: [{location: " + limatest.WriteImage(t) + "}]\ndisk: 16MiB\n"
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

func TestInterruptedPrepareIsCompletedByTheNext(t *testing.T) {
	limatest.NeedsVMPrograms(t)
	vm := limatest.NewVM(t)
	path := limatest.WriteImage(t)
	template := fmt.Sprintf("images: [{location: %s, digest: %q}]\ndisk: 32MiB\n", path, limatest.Digest(limatest.Image()))
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
	if b, err := os.ReadFile(filepath.Join(vm.Dir(), "basedisk")); err != nil || !bytes.Equal(b, limatest.Image()) {
		t.Error("the image is not whole", err)
	}
}

func TestMissingProgramsNameTheirPackages(t *testing.T) {
	vm := limatest.NewVM(t)
	t.Setenv("PATH", t.TempDir())
	_, err := prepareVM(t.Context(), vm, limatest.Template)
	if p, ok := errors.AsType[*lima.PermanentError](err); !ok || !strings.Contains(p.Error(), "qemu-system-x86 ") || !strings.Contains(p.Error(), "qemu-utils") || !strings.Contains(p.Error(), "openssh-client") {
		t.Fatal(err)
	}
	limatest.IsProblem(t, err, diag.QEMUMissing)
	if layout.Exists(vm.Dir()) {
		t.Error("something was made")
	}
}

func TestVMInUseIsLeftAlone(t *testing.T) {
	vm := limatest.NewVM(t)
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
	if err := Remove(ctx, vm, RemoveOptions{}); !errors.Is(err, proc.ErrLocked) {
		t.Error(err)
	}
	_, err = prepareVM(ctx, vm, limatest.Template)
	if !errors.Is(err, proc.ErrLocked) {
		t.Error(err)
	}
	limatest.IsProblem(t, err, diag.VMBusy)
}

func TestDownload(t *testing.T) {
	limatest.NeedsVMPrograms(t)
	vm := limatest.NewVM(t)
	s := &limatest.Server{}
	server := httptest.NewServer(s)
	defer server.Close()
	template := func(digest string) string {
		return fmt.Sprintf("images: [{location: %s/image.raw, digest: %q}]\ndisk: 32MiB\n", server.URL, digest)
	}
	for _, tc := range []struct {
		name      string
		site      limatest.Server
		digest    string
		permanent bool
		problem   diag.ID
	}{
		{"cut off", limatest.Server{Cut: 100}, limatest.Digest(limatest.Image()), false, ""},
		{"server's trouble", limatest.Server{Status: http.StatusServiceUnavailable}, limatest.Digest(limatest.Image()), false, ""},
		{"no such file", limatest.Server{Status: http.StatusNotFound}, limatest.Digest(limatest.Image()), true, diag.DownloadMissing},
		{"digest mismatch", limatest.Server{}, limatest.Digest([]byte("another")), true, diag.ImageDigest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			*s = tc.site
			_, err := prepareVM(t.Context(), vm, template(tc.digest))
			if _, permanent := errors.AsType[*lima.PermanentError](err); err == nil || permanent != tc.permanent {
				t.Fatalf("permanent %v: %v", permanent, err)
			}
			limatest.IsProblem(t, err, tc.problem)
			if layout.Exists(vm.Dir()) {
				t.Error("a half-made VM was left")
			}
		})
	}
	*s = limatest.Server{}
	events, err := prepareVM(t.Context(), vm, template(limatest.Digest(limatest.Image())))
	if err != nil {
		t.Fatal(err)
	}
	sized := false
	for _, e := range events {
		sized = sized || e.Total == int64(len(limatest.Image()))
	}
	if !sized {
		t.Error("no event says how large the download is")
	}
	second := vm
	second.Name = "second"
	if _, err := prepareVM(t.Context(), second, template(limatest.Digest(limatest.Image()))); err != nil || s.Served != 1 {
		t.Error("the cache was not used:", s.Served, err)
	}
}

// The server of the second image was down for a while, and the VM was given up because the first image is gone.
func TestVMIsPreparedAgainWhileOneOfItsImagesMayComeBack(t *testing.T) {
	limatest.NeedsVMPrograms(t)
	server := httptest.NewServer(&limatest.Server{Status: http.StatusServiceUnavailable})
	defer server.Close()
	_, err := prepareVM(t.Context(), limatest.NewVM(t), fmt.Sprintf("images: [{location: /no/such.img}, {location: %s/image.raw}]\n", server.URL))
	if err == nil || lima.Failure(err).Permanent || !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), "no file /no/such.img") {
		t.Fatal(err)
	}
}

func TestCanceledDownload(t *testing.T) {
	limatest.NeedsVMPrograms(t)
	vm := limatest.NewVM(t)
	s := &limatest.Server{Hold: make(chan struct{})}
	server := httptest.NewServer(s)
	defer server.Close()
	defer close(s.Hold)
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
	limatest.NeedsVMPrograms(t)
	s := &limatest.Server{}
	server := httptest.NewServer(s)
	defer server.Close()
	path, right, other := limatest.WriteImage(t), limatest.Digest(limatest.Image()), limatest.Digest([]byte("another"))
	for _, tc := range []struct {
		name, images string
		site         limatest.Server
		steps        int // of the image
	}{
		{"local", fmt.Sprintf("[{location: %s, digest: %q}]", path, right), limatest.Server{}, 2},
		{"no digest", fmt.Sprintf("[{location: %s}]", path), limatest.Server{}, 2},
		{"download", fmt.Sprintf("[{location: %s/a.raw, digest: %q}]", server.URL, right), limatest.Server{}, 3},
		{"goes on", fmt.Sprintf("[{location: %s/b.raw, digest: %q}]", server.URL, right), limatest.Server{Cut: 2}, 3},
		{"starts over", fmt.Sprintf("[{location: %s/c.raw, digest: %q}]", server.URL, right), limatest.Server{Cut: 1, NoRanges: true}, 4},
		{"the second image", fmt.Sprintf("[{location: %s/d.raw, digest: %q}, {location: %s, digest: %q}]", server.URL, other, path, right), limatest.Server{}, 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			*s = tc.site
			var out bytes.Buffer
			vm := limatest.NewVM(t)
			template := "plain: true\nfirmware: {legacyBIOS: true}\ndisk: 32MiB\nimages: " + tc.images + "\n"
			p := &preparer{o: PrepareOptions{VM: vm, Template: []byte(template), AsRoot: true}, vm: vm, dir: vm.Dir(), progress: newProgress(event.NewWriter(&out))}
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
