package server

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/forward"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

func TestAMissingGuestIsNamed(t *testing.T) {
	root := t.TempDir()
	r := &Run{Instance: instance.At(root, "a", filepath.Join(root, "libexec", "rdd"))}
	if _, err := r.guestTemplate(); err == nil || !strings.Contains(err.Error(), "reinstall RDD; in a checkout of its source run: make guest") {
		t.Error(err)
	}
	dir := filepath.Join(r.Instance.ShareDir(), "rdd", "guest")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "rdd-guest.yaml"), []byte("cpus: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := r.guestTemplate(); err != nil || text != "cpus: 1\n" {
		t.Error(text, err)
	}
}

func TestWhatAGuestWasStartedWithIsKnownWhileItRuns(t *testing.T) {
	root := t.TempDir()
	r := &Run{Instance: instance.At(root, "a", filepath.Join(root, "libexec", "rdd"))}
	vm := layout.Of(r.Instance, "rd")
	for _, dir := range []string{vm.Dir(), vm.Run()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	job, err := event.Job{Template: "cpus: 3\n", DataDisk: 5}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vm.Job(), job, 0o600); err != nil {
		t.Fatal(err)
	}
	if text, _, known := r.launched("rd"); known {
		t.Errorf("nothing runs, and it was started with %q", text)
	}
	lock, err := proc.Acquire(vm.HostagentLock())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	if text, disk, known := r.launched("rd"); !known || text != "cpus: 3\n" || disk != 5 {
		t.Error(text, disk, known)
	}
}

// told is a publisher that remembers what it was told.
type told []string

func (p *told) Set(bindings []forward.Binding, allowed []string) {
	*p = append(*p, fmt.Sprint(len(bindings), allowed))
}

func (p *told) Run(context.Context) {}

func TestPortsAreToldOnceTheEngineAndTheAppAreKnown(t *testing.T) {
	var got told
	p := publishing{to: &got}
	p.publish([]forward.Binding{{HostPort: 80}})
	p.allow(nil)
	p.allow(nil)
	p.allow([]string{"192.168.1.2"})
	p.allow([]string{"192.168.1.2"})
	p.publish(nil)
	if want := []string{"1 []", "1 [192.168.1.2]", "0 [192.168.1.2]"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
