package page

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/core"
)

// found fails the test unless the diagnosis has this problem with this repair.
func (e *env) found(id, repair string) {
	e.Helper()
	var report Report
	e.call("diagnose", `{}`, &report)
	if !slices.ContainsFunc(report.Findings, func(f Finding) bool { return f.ID == id && f.Repair == repair && f.Remedy != "" }) {
		e.Fatalf("no %s with the repair %q: %+v", id, repair, report.Findings)
	}
}

// gone checks that no finding has this repair.
func (e *env) gone(id string) {
	e.Helper()
	var report Report
	e.call("diagnose", `{}`, &report)
	for _, f := range report.Findings {
		if f.ID == id && f.Repair != "" {
			e.Errorf("still there: %+v", f)
		}
	}
}

func TestRepairsAtThePage(t *testing.T) {
	e := newEnv(t)
	e.becomes(e.begin("service.start", `{}`), "done")
	e.becomes(e.begin("vm.create", `{"name": "demo", "template": %q, "start": true}`, e.template), "done")

	// What a crashed service left running.
	e.killService()
	e.sees("no service", func(s State) bool { return s.Service.State == core.ServiceStopped })
	e.found("leftover-process", "Clear leftovers")
	e.becomes(e.begin("diagnose.repair", `{"id": "leftover-process"}`), "done")
	e.gone("leftover-process")

	// Files that others can read.
	e.becomes(e.begin("service.start", `{}`), "done")
	e.becomes(e.begin("service.stop", `{}`), "done")
	if err := os.Chmod(e.inst.RecordFile(), 0o644); err != nil {
		t.Fatal(err)
	}
	e.found("credentials-open", "Make them private")
	e.becomes(e.begin("diagnose.repair", `{"id": "credentials-open"}`), "done")
	e.gone("credentials-open")

	// A damaged store: the backup of the stop brings the VM back, and the damaged file is kept.
	store := filepath.Join(e.inst.StoreDir(), "state.db")
	for _, path := range []string{store + "-wal", store + "-shm"} {
		_ = os.Remove(path) // not there after a stop in order
	}
	if err := os.WriteFile(store, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := e.becomes(e.begin("service.start", `{}`), "failed")
	if p := s.Operations[len(s.Operations)-1].Problem; !strings.Contains(p.Message, "rdd svc restore") || !strings.Contains(p.Log, "rddd.log") {
		t.Errorf("%+v", p)
	}
	e.found("datastore-damaged", "Restore the newest backup")
	e.becomes(e.begin("diagnose.repair", `{"id": "datastore-damaged"}`), "done")
	e.becomes(e.begin("service.start", `{}`), "done")
	e.sees("the VM", vmIs("demo", "Running"))

	for _, id := range []string{"qemu-missing", "no-such-problem", ""} {
		if _, problem := e.api.Call(t.Context(), "diagnose.repair", []byte(fmt.Sprintf(`{"id": %q}`, id))); problem == nil || problem.Kind != "usage" {
			t.Errorf("%q: %+v", id, problem)
		}
	}
}
