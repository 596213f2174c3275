package machine

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// workerWithLogs returns a worker, without its goroutine, of a VM with this hostagent log and console.
func workerWithLogs(t *testing.T, log, console string) *worker {
	dir := t.TempDir()
	vm := layout.VM{Home: dir, Name: "rd", Logs: filepath.Join(dir, "log")}
	for path, text := range map[string]string{vm.HostagentLog(): log, vm.SerialLog(): console} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &worker{vm: vm, timeouts: defaultTimeouts(), config: Config{Log: slog.New(slog.DiscardHandler), Changed: func(string) {}}}
}

const (
	noMemory = `{"level":"info","msg":"qemu[stderr]: qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory","time":"now"}` + "\n"
	noPort   = `{"level":"warning","msg":"failed to set up forwarding tcp port 5355","error":"listen: address already in use"}` + "\n"
	panicked = "[    3.9] Kernel panic - not syncing: Attempted to kill init!\n[    3.9] CPU: 1\n\n\n\n\n\n\n\n\n[    4.0] Rebooting in 10 seconds\n"
)

func TestFailureOfADeadHostagentHasCauseAndAdviceOnce(t *testing.T) {
	for _, tc := range []struct {
		name, log, console string
		agent              hostagent
		want               string // the known problem
	}{
		{"QEMU's last words", noMemory, "", hostagent{}, "memory-short"},
		{"the console of a guest that panicked", "", panicked, hostagent{}, "guest-panic"},
		{"QEMU before an earlier boot's console", noMemory, panicked, hostagent{}, "memory-short"},
		{"its own failure before all", noMemory, panicked, hostagent{failure: &event.Failure{Message: "open x: no space left on device"}}, "disk-full"},
		{"what an earlier run logged", noMemory, "", hostagent{logged: int64(len(noMemory))}, ""},
		{"a log that was rotated", noMemory, "", hostagent{logged: int64(len(noMemory) + 1)}, "memory-short"},
		{"a warning is no cause", noPort, "", hostagent{}, ""},
		{"nothing", "", "", hostagent{}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := workerWithLogs(t, tc.log, tc.console)
			w.fail(Start, w.exitReason(&tc.agent))
			message := w.snapshot().Failure.Message
			n := strings.Count(message, "known problem ")
			if tc.want == "" && n != 0 || tc.want != "" && (n != 1 || !strings.Contains(message, "known problem "+tc.want+": ") || strings.Count(message, "what to do: ") != 1) {
				t.Errorf("want %q once, got %s", tc.want, message)
			}
		})
	}
}

func TestWarningsOfTheLogAreShown(t *testing.T) {
	w := workerWithLogs(t, noPort, "")
	if err := w.exitReason(&hostagent{}); !strings.Contains(err.Error(), "tcp port 5355: listen: address already in use") {
		t.Error(err)
	}
}

func TestFailedActionHasAdviceOnce(t *testing.T) {
	w := workerWithLogs(t, "", "")
	for _, tc := range []struct {
		err     error
		problem diag.ID
		advised int
	}{
		{diag.Errorf(diag.QEMUMissing, "no QEMU: install it"), diag.QEMUMissing, 0},
		{diag.Mark(diag.VMBusy, errors.New("in use")), diag.VMBusy, 1},
		{errors.New("write x: no space left on device"), diag.DiskFull, 1},
	} {
		w.fail(Prepare, &permanentError{fmt.Errorf("prepare VM: %w", tc.err)})
		f := w.snapshot().Failure
		if !f.Permanent || f.Problem != string(tc.problem) || strings.Count(f.Message, fmt.Sprintf("known problem %s: ", tc.problem)) != tc.advised {
			t.Errorf("%+v", f)
		}
	}
	w.fail(Prepare, errors.New("something else"))
	if f := w.snapshot().Failure; f.Message != "something else" {
		t.Errorf("%+v", f)
	}
}

func TestOverdueStepHasAdvice(t *testing.T) {
	for _, tc := range []struct{ phase, console, want string }{
		{event.Boot, "[    1.0] Linux version 6\n", "ssh-silent"},
		{event.Boot, panicked, "guest-panic"},
		{event.Guest, "", "guest-scripts"},
		{event.Configure, "", ""},
	} {
		w := workerWithLogs(t, "", tc.console)
		w.hostagent = &hostagent{}
		w.state = State{Phase: Starting, Progress: &Progress{Phase: tc.phase, Message: "x", StartedAt: time.Now().Add(-time.Hour)}}
		for range 2 {
			w.markOverdue(w.snapshot())
		}
		message := w.snapshot().Progress.Message
		if n := strings.Count(message, "known problem "); n > 1 || !strings.Contains(message, "known problem "+tc.want) == (tc.want != "") {
			t.Errorf("%s: want %q once in %s", tc.phase, tc.want, message)
		}
	}
}
