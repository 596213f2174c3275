//go:build unix

package hostagent

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/lima"
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
	for _, dir := range []string{vm.Run(), vm.Logs} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
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
	limatest.WriteFile(t, vm.SerialLog(), console)
	return &hostagent{vm: vm, ready: make(chan struct{}), config: &limayaml.LimaYAML{}, w: event.NewWriter(io.Discard)}
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
	if said, usable := h.judgeSystemDisk(t.Context()); len(said) > 0 || !usable || systemdisk.Trying(h.vm) {
		t.Error(said, usable)
	}
	close(h.ready)
	if h.systemDiskFailed(&unexpectedExit{event.Panicked}); h.disk(t) != "new" {
		t.Error("a later crash brings the old disk back")
	}
}

// console is what the guest of the new disk says before it ends.
const console = "Kernel panic - not syncing"

// refuses fails the test unless the old disk is back, and err and the VM's problem say why, with the console of the new one. The
// next boot overwrites what the VM's directory has of it.
func (h *hostagent) refuses(t *testing.T, err error, why string) {
	t.Helper()
	if h.disk(t) != "old" {
		t.Error("the old disk is not back")
	}
	if err == nil || !strings.Contains(err.Error(), "its new system disk does not boot: "+why) || !strings.Contains(err.Error(), "The next start has the old one") {
		t.Error(err)
	}
	if _, ok := errors.AsType[*unexpectedExit](err); !ok || lima.Failure(err).Problem != string(diag.GuestRefused) {
		t.Errorf("%+v", lima.Failure(err))
	}
	limatest.WriteFile(t, h.vm.SerialLog(), "the old guest boots")
	said, usable := h.judgeSystemDisk(t.Context())
	if !usable || len(said) != 1 || !strings.Contains(said[0], "did not boot: "+why) || !strings.Contains(said[0], "rdd vm reset rd") || !strings.Contains(said[0], h.vm.RefusedLog()) {
		t.Error(said)
	}
	if b, err := os.ReadFile(h.vm.RefusedLog()); err != nil || string(b) != console {
		t.Errorf("the console is %q %v", b, err)
	}
}

func TestOldSystemDiskComesBackWhenNobodyCanLogIn(t *testing.T) {
	h := newDisk(t, "1")
	if said, usable := h.judgeSystemDisk(t.Context()); len(said) > 0 || usable {
		t.Error(said, usable)
	}
	testenv.Eventually(t, "it is given up", func() bool { return h.givenUp.Load() != nil })
	h.refuses(t, h.systemDiskFailed(&unexpectedExit{event.Killed}), "nobody can log in to its guest")
}

func TestOldSystemDiskComesBackWhenTheGuestDoesNotAnswer(t *testing.T) {
	for accelerated, limit := range map[bool]string{true: "5 minutes", false: "15 minutes"} {
		h := newDisk(t, "0")
		h.accelerated = accelerated
		stop, err := h.trySystemDisk(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		h.trial.Reset(0)
		testenv.Eventually(t, "it is given up", func() bool { return h.givenUp.Load() != nil })
		h.refuses(t, h.systemDiskFailed(&unexpectedExit{event.Killed}), "its guest did not answer within "+limit)
	}
}

// Its boot scripts may take longer than a guest that doesn't boot is waited for.
func TestGuestThatAnswersIsNotGivenUp(t *testing.T) {
	h := newDisk(t, "0")
	stop, err := h.trySystemDisk(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	r := &requirements{hostagent: h}
	for _, line := range []string{`Waiting for the essential requirement 1 of 4: "ssh"`, "The essential requirement 1 of 4 is satisfied"} {
		if err := r.Fire(&logrus.Entry{Message: line}); err != nil {
			t.Fatal(err)
		}
	}
	if h.trial.Stop() {
		t.Error("the time still runs")
	}
}

func TestGuestThatEndsWhileItBootsBringsTheOldSystemDiskBack(t *testing.T) {
	for how, why := range map[string]string{event.Panicked: "its kernel panicked", event.PoweredOff: "its guest powered itself off", event.Rebooted: "its guest rebooted"} {
		h := newDisk(t, "0")
		h.refuses(t, h.systemDiskFailed(&unexpectedExit{how}), why)
	}
	h := newDisk(t, "0") // somebody else has killed it
	if err := h.systemDiskFailed(&unexpectedExit{event.Killed}); err == nil || h.disk(t) != "new" {
		t.Error(err)
	}
}
