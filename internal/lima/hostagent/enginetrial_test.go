//go:build unix

package hostagent

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/lima/limatest"
	"rancherdesktop.io/rdd/internal/lima/systemdisk"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
	"rancherdesktop.io/rdd/internal/testenv"
)

const (
	gaveUp  = "docker loaded failed 3 degraded\nno such feature: overlay\n"
	loops   = "containerd loaded auto-restart 7 degraded\nbus error\n"
	slow    = "docker loaded start 0 starting\nmigrating\n"
	retried = "docker loaded failed 3 starting\nno network\n"
)

func TestWhichEngineCondemnsANewSystemDisk(t *testing.T) {
	const limit = 5 * time.Minute
	for _, tc := range []struct {
		said   string
		waited time.Duration
		want   engineState
	}{
		{"", 0, engineRuns},
		{"\n", limit, engineRuns},
		{gaveUp, 0, engineFails},
		{"docker masked dead 0\n", 0, engineFails},
		{"rdd-data loaded failed 0 degraded\n", 0, engineFails},
		{loops, 0, engineStarts},
		{loops, limit - 1, engineStarts},
		{loops, limit, engineFails},
		{retried, 0, engineStarts},
		{slow, limit, engineStarts},
		{"docker loaded dead 0\n", limit, engineStarts},
	} {
		if found, got := judgeEngine(tc.said, tc.waited, limit); got != tc.want || got == engineFails && found.Words == "" {
			t.Errorf("%q after %s: %s %q, want %s", tc.said, tc.waited, got, found.Words, tc.want)
		}
	}
}

func TestHowLongANewEngineIsWaitedFor(t *testing.T) {
	unasked := errors.New("no connection")
	for name, tc := range map[string]struct {
		say   func(waited time.Duration) (string, error)
		ended time.Duration // after which the guest ends; 0: never
		want  engineState
		after time.Duration
	}{
		"it runs at once":                 {say: func(time.Duration) (string, error) { return "", nil }, want: engineRuns},
		"the guest gives up":              {say: func(time.Duration) (string, error) { return gaveUp, nil }, want: engineFails},
		"it ends again and again":         {say: func(time.Duration) (string, error) { return loops, nil }, want: engineFails, after: time.Minute},
		"it takes long":                   {say: func(time.Duration) (string, error) { return slow, nil }, want: engineStarts, after: time.Minute},
		"nobody can ask":                  {say: func(time.Duration) (string, error) { return "", unasked }, want: engineStarts, after: time.Minute},
		"it runs at the second attempt":   {say: after(10*time.Second, retried, nil), want: engineRuns, after: 10 * time.Second},
		"the connection is there later":   {say: after(10*time.Second, "", unasked), want: engineRuns, after: 10 * time.Second},
		"the guest ends":                  {say: func(time.Duration) (string, error) { return slow, nil }, ended: 4 * time.Second, want: guestEnded, after: 4 * time.Second},
		"the guest ends and is not asked": {say: func(time.Duration) (string, error) { return "", unasked }, ended: 4 * time.Second, want: guestEnded, after: 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				_, got := engineTrial{
					limit: time.Minute,
					ask:   func(context.Context) (string, error) { return tc.say(time.Since(began)) },
					ended: func() bool { return tc.ended > 0 && time.Since(began) >= tc.ended },
				}.await(t.Context())
				if took := time.Since(began); got != tc.want || took != tc.after {
					t.Errorf("%s after %s, want %s after %s", got, took, tc.want, tc.after)
				}
			})
		})
	}
}

// after returns an answer until that time, and then one of an engine that runs.
func after(d time.Duration, said string, err error) func(time.Duration) (string, error) {
	return func(waited time.Duration) (string, error) {
		if waited < d {
			return said, err
		}
		return "", nil
	}
}

// newEngine is a hostagent as newDisk makes it, whose guest has a container engine. says is what the guest says of it.
func newEngine(t *testing.T) (h *hostagent, says func(string)) {
	h = newDisk(t, "0")
	arch := limayaml.X8664
	h.config = &limayaml.LimaYAML{Arch: &arch, Images: []limayaml.Image{{File: limayaml.File{Arch: arch}, Kernel: &limayaml.Kernel{Cmdline: "quiet rdd.agent=1 rdd.data"}}}}
	bin := t.TempDir()
	said := filepath.Join(bin, "said")
	limatest.WriteFile(t, filepath.Join(bin, "ssh"), "#!/bin/sh\ncase \"$*\" in *systemctl*) cat "+said+";; *journalctl*) echo \"the engine's log\";; esac\n")
	if err := os.Chmod(filepath.Join(bin, "ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	says = func(text string) { limatest.WriteFile(t, said, text) }
	return h, says
}

// guest starts a process in place of the VM's QEMU, which ends when the power button is pressed.
func (h *hostagent) guest(t *testing.T) (pressed *atomic.Bool) {
	t.Helper()
	pressed = &atomic.Bool{}
	lock, err := proc.Acquire(h.vm.QEMULock())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sleep", "1000")
	_, err = lock.Pass(cmd)
	if err == nil {
		err = cmd.Start()
	}
	if err := errors.Join(err, lock.Release()); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }()
	monitor, err := net.Listen("unix", h.qmp())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = monitor.Close() })
	go func() {
		conn, err := monitor.Accept()
		if err != nil {
			return // nobody has asked
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, `{"QMP": {}}`+"\n")
		for commands := bufio.NewScanner(conn); commands.Scan(); _, _ = io.WriteString(conn, `{"return": {}}`+"\n") {
			if strings.Contains(commands.Text(), "system_powerdown") {
				pressed.Store(true)
				_ = cmd.Process.Kill()
			}
		}
	}()
	return pressed
}

func (h *hostagent) qmp() string { return filepath.Join(h.vm.Dir(), "qmp.sock") }

func (h *hostagent) guestEnds(t *testing.T) {
	t.Helper()
	testenv.Eventually(t, "the guest ends, and what it has left is removed", func() bool {
		held, err := proc.Held(h.vm.QEMULock())
		return err == nil && !held && !layout.Exists(h.qmp())
	})
}

func TestNewSystemDiskIsKeptWhenItsEngineRuns(t *testing.T) {
	h, says := newEngine(t)
	h.guest(t)
	says("")
	if said, usable := h.judgeSystemDisk(t.Context()); len(said) > 0 || !usable || systemdisk.Trying(h.vm) || h.disk(t) != "new" {
		t.Error(said, usable)
	}
}

func TestGuestThatEndsBeforeItsEngineRuns(t *testing.T) {
	h, says := newEngine(t)
	says("")
	if said, usable := h.judgeSystemDisk(t.Context()); usable || len(said) > 0 || !systemdisk.Trying(h.vm) {
		t.Error(said, usable)
	}
	if err := h.systemDiskFailed(&unexpectedExit{event.Panicked}); err == nil || h.disk(t) != "old" {
		t.Error(err)
	}
}

// refusesEngine fails the test unless the guest is ended because of its engine, and the old disk comes back.
func (h *hostagent) refusesEngine(t *testing.T) {
	t.Helper()
	pressed := h.guest(t)
	if said, usable := h.judgeSystemDisk(t.Context()); usable || len(said) > 0 {
		t.Error(said, usable)
	}
	h.guestEnds(t)
	if !pressed.Load() {
		t.Error("a guest that listens was killed")
	}
	err := h.systemDiskFailed(&unexpectedExit{event.PoweredOff})
	if err == nil || !strings.Contains(err.Error(), "its new system disk does not start the container engine: In the virtual machine, the service docker could not start") ||
		!strings.Contains(err.Error(), "overlay (its log: "+h.vm.RefusedLog()+"). The next start has the old one") || lima.Failure(err).Problem != string(diag.GuestRefused) {
		t.Error(err)
	}
	if b, err := os.ReadFile(h.vm.RefusedLog()); err != nil || string(b) != "the engine's log\n" {
		t.Errorf("the log is %q %v", b, err)
	}
	if h.disk(t) != "old" || !systemdisk.Refuses(h.vm, "sha256:1") {
		t.Error("the old disk is not back")
	}
	h.givenUp.Store(nil)
}

func TestEngineThatOnlyTheOldDiskStarts(t *testing.T) {
	h, says := newEngine(t)
	says(gaveUp)
	h.refusesEngine(t)
	h.guest(t)
	says("")
	for range 2 {
		said, usable := h.judgeSystemDisk(t.Context())
		if !usable || len(said) != 1 || !strings.Contains(said[0], "because a newer one did not start the container engine, which the old one starts: ") || !strings.Contains(said[0], h.vm.RefusedLog()) {
			t.Error(said, usable)
		}
		says(gaveUp) // it is compared once: later failures say nothing about the new disk
	}
	if !systemdisk.Refuses(h.vm, "sha256:1") {
		t.Error("the new disk is tried again")
	}
}

// A full data disk, which both guests have, is not the new one's fault.
func TestEngineThatNoSystemDiskStarts(t *testing.T) {
	h, says := newEngine(t)
	says(gaveUp)
	h.refusesEngine(t)
	h.guest(t)
	if said, usable := h.judgeSystemDisk(t.Context()); !usable || len(said) > 0 {
		t.Error(said, usable)
	}
	if systemdisk.Refuses(h.vm, "sha256:1") {
		t.Error("the new disk is not tried again")
	}
	limatest.WriteFile(t, filepath.Join(systemdisk.NextDir(h.vm), "diffdisk"), "rdd.next")
	if err := systemdisk.Switch(h.vm, "sha256:1", nil, nil); err != nil {
		t.Fatal(err)
	}
	if said, usable := h.judgeSystemDisk(t.Context()); !usable || len(said) > 0 || h.disk(t) != "new" || systemdisk.Trying(h.vm) {
		t.Error("the new disk is not kept", said, usable)
	}
}
