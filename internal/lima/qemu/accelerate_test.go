//go:build unix

package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/lima/limatest"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// fakeQEMU is a program that ends like QEMU does after a probe, or not at all.
func fakeQEMU(t *testing.T, script string) (exe, ran string) {
	dir := t.TempDir()
	exe, ran = filepath.Join(dir, "qemu-system-x86_64"), filepath.Join(dir, "ran")
	if err := os.WriteFile(exe, fmt.Appendf(nil, "#!/bin/sh\necho x >> '%s'\n%s\n", ran, script), 0o700); err != nil {
		t.Fatal(err)
	}
	return exe, ran
}

func TestProbeRunsATestGuest(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("probes look at /dev/kvm")
	}
	for _, tc := range []struct{ name, script, reason, says string }{
		{"works", "exit 33", event.HardwareWorks, "test guest ran"},
		{"hangs", "exec sleep 1000", event.HardwareHangs, "did not finish within"},
		{"crashes", "echo 'kvm: no MSR for you' >&2; kill -ABRT $$", event.HardwareBroken, "no MSR for you"},
		{"ends too early", "exit 0", event.HardwareBroken, "too early"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			exe, ran := fakeQEMU(t, tc.script)
			timeout := time.Minute
			if tc.reason == event.HardwareHangs {
				timeout = 5 * time.Second
			}
			p := &prober{exe: exe, arch: limayaml.X8664, cache: filepath.Join(t.TempDir(), "sub", "cache"), timeout: timeout}
			for range 2 {
				acc, err := p.runGuestCached(t.Context())
				if err != nil || acc.Reason != tc.reason || !strings.Contains(acc.Message, tc.says) || acc.Hardware != (tc.reason == event.HardwareWorks) {
					t.Fatal(acc, err)
				}
			}
			if b, _ := os.ReadFile(ran); len(b) != 2 {
				t.Errorf("it was run %d times, not once", len(b)/2)
			}
			if err := os.Chtimes(exe, time.Time{}, time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			if _, err := p.runGuestCached(t.Context()); err != nil {
				t.Fatal(err)
			}
			if b, _ := os.ReadFile(ran); len(b) != 4 {
				t.Error("a new QEMU was not probed")
			}
		})
	}
}

func TestCanceledProbeHasNoResult(t *testing.T) {
	exe, _ := fakeQEMU(t, "exec sleep 1000")
	p := &prober{exe: exe, arch: limayaml.X8664, cache: filepath.Join(t.TempDir(), "cache"), timeout: time.Minute}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if acc, err := p.runGuestCached(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(acc, err)
	}
	if layout.Exists(p.cache) {
		t.Error("a canceled probe was remembered")
	}
}

// The test guest must do what it is meant to. Emulation can show that on any host.
func TestProbeGuestRunsToItsEnd(t *testing.T) {
	limatest.Needs(t, "qemu-system-x86_64")
	rom := filepath.Join(t.TempDir(), "rom")
	if err := os.WriteFile(rom, romFor(limayaml.X8664), 0o600); err != nil {
		t.Fatal(err)
	}
	args := probeArgs(limayaml.X8664, emulator, rom)
	args[slices.Index(args, "host")] = "max"
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", args...)
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != romExit(limayaml.X8664) {
		t.Fatalf("exit code %d: %s", code, out)
	}
}

func TestProbeOfThisHostEnds(t *testing.T) {
	limatest.Needs(t, "qemu-system-x86_64")
	home := t.TempDir()
	acc, err := Accelerate(t.Context(), home, lima.NativeArch(), Auto)
	if err != nil || acc.Name == "" || acc.Reason == "" || acc.Message == "" {
		t.Fatal(acc, err)
	}
	again, err := Accelerate(t.Context(), home, lima.NativeArch(), Auto)
	if err != nil || again != acc {
		t.Fatal(again, err)
	}
	t.Log(acc)
	_, err = Accelerate(t.Context(), home, lima.NativeArch(), Hardware)
	if _, refused := errors.AsType[*lima.PermanentError](err); refused == acc.Hardware {
		t.Error("hardware required:", err)
	}
}

func TestAccelerationChoices(t *testing.T) {
	if acc, err := Accelerate(t.Context(), t.TempDir(), lima.NativeArch(), Emulation); err != nil || acc.Name != emulator || acc.Reason != event.EmulationRequested {
		t.Error(acc, err)
	}
	if acc, err := Accelerate(t.Context(), t.TempDir(), limayaml.S390X, Auto); err != nil || acc.Reason != event.ForeignArchitecture {
		t.Error(acc, err)
	}
	if _, err := Accelerate(t.Context(), t.TempDir(), limayaml.S390X, Hardware); err == nil {
		t.Error("a foreign architecture can't have hardware acceleration")
	}
	if _, err := Accelerate(t.Context(), t.TempDir(), lima.NativeArch(), "fast"); err == nil || !strings.Contains(err.Error(), "Auto, Hardware or Emulation") {
		t.Error(err)
	}
}

func TestQEMUFlags(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("flags are those of x86_64")
	}
	tcg, kvm := event.Accelerator{Name: "tcg"}, event.Accelerator{Name: "kvm", Hardware: true}
	for _, tc := range []struct {
		arch, cpu string
		acc       event.Accelerator
		want      string
	}{
		{limayaml.X8664, "host", kvm, ""},
		{limayaml.X8664, "host", tcg, "-machine q35,vmport=off -accel tcg,thread=multi,tb-size=512 -cpu max,-cx16"},
		{limayaml.X8664, "max", tcg, "-machine q35,vmport=off -accel tcg,thread=multi,tb-size=512 -cpu max,-cx16"},
		{limayaml.X8664, "Nehalem", tcg, "-machine q35,vmport=off -accel tcg,thread=multi,tb-size=512 -cpu Nehalem"},
		{limayaml.AARCH64, "max", tcg, ""}, // Lima emulates it by itself
	} {
		if got := strings.Join(AccelerationFlags(tc.arch, tc.cpu, tc.acc), " "); got != tc.want {
			t.Errorf("%s %s %s: %s", tc.arch, tc.cpu, tc.acc.Name, got)
		}
	}
}
