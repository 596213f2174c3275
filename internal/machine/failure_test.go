package machine

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// runningWorker is a worker, without its loop, whose guest runs.
func runningWorker(t *testing.T) (*worker, *hostagent) {
	w := &worker{
		config: Config{Log: slog.New(slog.DiscardHandler), Changed: func(string) {}},
		vm:     layout.VM{Home: t.TempDir(), Name: "rd", Logs: t.TempDir()},
	}
	a := &hostagent{}
	w.hostagent = a
	w.apply(a, event.Event{Phase: event.Ready, Running: true, SSHPort: 2222})
	return w, a
}

func TestGuestThatEndsByItselfHasNotCrashed(t *testing.T) {
	for ended, crashed := range map[string]bool{event.PoweredOff: false, event.Rebooted: false, event.Panicked: true, event.Killed: true} {
		t.Run(ended, func(t *testing.T) {
			w, a := runningWorker(t)
			w.apply(a, event.Event{Exiting: true, Ended: ended, Failure: &event.Failure{Message: "its guest has ended"}})
			w.hostagentExited(t.Context(), a)
			s := w.snapshot()
			if s.Failure == nil || s.Failure.ByGuest == crashed || (s.Exits == 1) != crashed {
				t.Fatalf("%+v %+v", s, s.Failure)
			}
			if says := strings.Contains(s.Failure.Message, "to keep it stopped: `rdd vm stop rd`"); says == crashed {
				t.Error(s.Failure.Message)
			}
		})
	}
}

func TestGuestThatStopsAnsweringIsReportedUntilItAnswers(t *testing.T) {
	w, a := runningWorker(t)
	w.apply(a, event.Event{Health: &event.Health{Reason: event.Unresponsive, Message: "not a word"}})
	if s := w.snapshot(); s.Phase != Running || s.Health.Reason != "Unresponsive" || s.Progress.Message != "not a word" || s.SSHPort != 2222 {
		t.Fatalf("%+v", s)
	}
	w.apply(a, event.Event{Health: &event.Health{}})
	if s := w.snapshot(); s.Phase != Running || s.Health.Reason != "" || s.Progress != nil {
		t.Fatalf("%+v", s)
	}
	w.apply(a, event.Event{Health: &event.Health{Reason: event.Paused}})
	w.stopped(Stopped)
	if s := w.snapshot(); s.Health.Reason != "" {
		t.Fatalf("%+v", s)
	}
}

// The VM starts with its old disk then, so the registers of a kernel and a hostagent's log help nobody.
func TestRefusedSystemDiskIsToldInShort(t *testing.T) {
	w, a := runningWorker(t)
	files := map[string]string{w.vm.SerialLog(): "Kernel panic - not syncing\nRAX: ffffffffffffffda", w.vm.HostagentLog(): `{"level":"error","msg":"forcibly killing QEMU"}`}
	for path, text := range files {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	a.failure = &event.Failure{Message: "its new system disk does not boot", Problem: string(diag.GuestRefused)}
	got, problem := describe(w.exitReason(a))
	refused, _ := diag.Find(diag.GuestRefused)
	want := `the hostagent of VM "rd" has ended: its new system disk does not boot` + "\n" + refused.Advice(runtime.GOOS)
	if got != want || problem != string(diag.GuestRefused) {
		t.Errorf("%s: %s", problem, got)
	}
}

// A watcher that saw the VM down and not why would start it again without a pause.
func TestVMIsStoppedTogetherWithItsFailure(t *testing.T) {
	early := 0
	w, a := runningWorker(t)
	w.config.Changed = func(string) {
		if s := w.snapshot(); s.Phase == Absent && s.Failure == nil {
			early++
		}
	}
	w.apply(a, event.Event{Exiting: true, Ended: event.Killed, Failure: &event.Failure{Message: "its QEMU has crashed"}})
	w.hostagentExited(t.Context(), a)
	if s := w.snapshot(); early > 0 || s.Failure == nil || s.Exits != 1 {
		t.Errorf("down %d times without a failure; %+v", early, s)
	}
}
