//go:build linux

package hostagent

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/lima/limatest"

	"rancherdesktop.io/rdd/internal/lima/vm"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

func TestLimaEventsAreTranslated(t *testing.T) {
	var out strings.Builder
	tr := &limaEvents{hostagent: &hostagent{w: event.NewWriter(&out)}}
	text := `{"time":"2026-01-01T00:00:00Z","status":{"sshLocalPort":4711}}` + "\n" +
		`{"status":{"running":true,"degraded":true,"errors":["no mounts"],"sshLocalPort":4711}}` + "\n" + `{"status":{"exiting":true}}` + "\n"
	for _, piece := range []string{text[:30], text[30:100], text[100:]} {
		if n, err := tr.Write([]byte(piece)); err != nil || n != len(piece) {
			t.Fatal(n, err)
		}
	}
	var got []event.Event
	_ = event.Read(strings.NewReader(out.String()), func(e event.Event) { got = append(got, e) }, func(line string) { t.Error(line) })
	if len(got) != 2 || got[0].SSHPort != 4711 || !got[1].Running || got[1].Degraded[0] != "no mounts" {
		b, _ := json.Marshal(got)
		t.Fatalf("%s", b)
	}
}

func TestHostagentRefusesASecondOne(t *testing.T) {
	vm := limatest.NewVM(t)
	limatest.HoldHostagentLock(t, vm)
	done := make(chan error, 1)
	go func() { done <- Run(t.Context(), Options{VM: vm}) }() // it ties its goroutine to a thread
	err := <-done
	if err == nil || !strings.Contains(err.Error(), ErrRunning.Error()) {
		t.Fatal(err)
	}
	limatest.IsProblem(t, err, diag.VMBusy)
	if layout.Exists(vm.Events()) {
		t.Error("the living hostagent's events were touched")
	}
}

func TestVMStartsThoughItsOldPIDIsAnotherProcessNow(t *testing.T) {
	limatest.NeedsVMPrograms(t)
	v := limatest.NewVM(t)
	other := limatest.OtherProcess(t)
	text := fmt.Sprintf("plain: true\nfirmware: {legacyBIOS: true}\nimages: [{location: %s}]\ndisk: 32MiB\n", limatest.WriteImage(t))
	prepare := func() error {
		return vm.Prepare(t.Context(), vm.PrepareOptions{VM: v, Template: []byte(text), AsRoot: true}, event.NewWriter(io.Discard))
	}
	if err := prepare(); err != nil {
		t.Fatal(err)
	}
	stale := []string{filepath.Join(v.Dir(), "qemu.pid"), filepath.Join(v.Dir(), "ha.pid"), filepath.Join(v.Dir(), "ha.sock")}
	for _, path := range stale {
		if err := os.WriteFile(path, fmt.Append(nil, other.Process.Pid), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := prepare(); err != nil {
		t.Fatal("the process that has a number which was QEMU's keeps the VM from starting:", err)
	}
	if layout.Exists(stale[0]) || layout.Exists(stale[1]) {
		t.Error("the stale PID files are still there")
	}
	a := &hostagent{vm: v, w: event.NewWriter(io.Discard)}
	if err := os.WriteFile(stale[1], fmt.Append(nil, other.Process.Pid), 0o600); err != nil {
		t.Fatal(err)
	}
	if inst, err := a.inspect(t.Context()); err != nil || len(inst.Errors) > 0 {
		t.Error("its hostagent:", err, inst)
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Error("somebody else's process was killed")
	}
}
