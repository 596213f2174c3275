//go:build unix

package hostagent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/lima/limatest"
	"rancherdesktop.io/rdd/internal/lima/systemdisk"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/testenv"
)

// newDisk is the hostagent of a VM whose system disk was replaced and has not booted yet. In its guest, a command ends with that
// exit code.
func newDisk(t *testing.T, exit string) *hostagent {
	t.Helper()
	vm := limatest.NewVM(t)
	for _, dir := range []string{vm.Dir(), systemdisk.NextDir(vm)} {
		limatest.WriteFile(t, filepath.Join(dir, "diffdisk"), filepath.Base(dir))
	}
	if err := os.MkdirAll(vm.Run(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := systemdisk.Switch(vm, "sha256:1", nil, nil); err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	limatest.WriteFile(t, filepath.Join(bin, "ssh"), "#!/bin/sh\nexit "+exit+"\n")
	if err := os.Chmod(filepath.Join(bin, "ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	return &hostagent{vm: vm, ready: make(chan struct{})}
}

// disk returns what the system disk of the next start is.
func (h *hostagent) disk(t *testing.T) string {
	t.Helper()
	if err := systemdisk.Resume(h.vm); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(h.vm.Disk())
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"rd": "old", "rdd.next": "new"}[string(b)]
}

func TestNewSystemDiskIsKeptWhenSomebodyCanLogIn(t *testing.T) {
	h := newDisk(t, "0")
	stop, err := h.trySystemDisk(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if said := h.judgeSystemDisk(); len(said) > 0 || systemdisk.Trying(h.vm) {
		t.Error(said)
	}
	close(h.ready)
	if h.systemDiskFailed(&unexpectedExit{event.Panicked}); h.disk(t) != "new" {
		t.Error("a later crash brings the old disk back")
	}
}

func TestOldSystemDiskComesBackWhenNobodyCanLogIn(t *testing.T) {
	h := newDisk(t, "1")
	if said := h.judgeSystemDisk(); len(said) > 0 {
		t.Error(said)
	}
	testenv.Eventually(t, "the old disk is back", func() bool { return h.disk(t) == "old" })
	if said := h.judgeSystemDisk(); len(said) != 1 || !strings.Contains(said[0], "nobody can log in to its guest") || !strings.Contains(said[0], "rdd vm reset rd") {
		t.Error(said)
	}
}

func TestGuestThatEndsWhileItBootsBringsTheOldSystemDiskBack(t *testing.T) {
	for how, want := range map[string]string{event.Panicked: "old", event.PoweredOff: "old", event.Rebooted: "old", event.Killed: "new"} {
		h := newDisk(t, "0")
		if err := h.systemDiskFailed(&unexpectedExit{how}); err == nil {
			t.Error("the end of the guest is forgotten")
		}
		if got := h.disk(t); got != want {
			t.Errorf("%s: the next start has the %s disk, want the %s one", how, got, want)
		}
	}
}
