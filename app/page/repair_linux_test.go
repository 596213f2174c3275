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

// found returns the finding of that problem, which must have the repair.
func (b *box) found(id, repair string) {
	b.Helper()
	var report Report
	b.call("diagnose", `{}`, &report)
	if !slices.ContainsFunc(report.Findings, func(f Finding) bool { return f.ID == id && f.Repair == repair && f.Remedy != "" }) {
		b.Fatalf("no %s with the repair %q: %+v", id, repair, report.Findings)
	}
}

// gone says that nothing has that repair any more.
func (b *box) gone(id string) {
	b.Helper()
	var report Report
	b.call("diagnose", `{}`, &report)
	for _, f := range report.Findings {
		if f.ID == id && f.Repair != "" {
			b.Errorf("still there: %+v", f)
		}
	}
}

func TestRepairsAtThePage(t *testing.T) {
	b := newBox(t)
	b.becomes(b.begin("service.start", `{}`), "done")
	b.becomes(b.begin("vm.create", `{"name": "demo", "template": %q, "start": true}`, b.template), "done")

	// What a crashed service left running.
	b.killService()
	b.sees("no service", func(s State) bool { return s.Service.State == core.ServiceStopped })
	b.found("leftover-process", "Clear leftovers")
	b.becomes(b.begin("diagnose.repair", `{"id": "leftover-process"}`), "done")
	b.gone("leftover-process")

	// Files that others can read.
	b.becomes(b.begin("service.start", `{}`), "done")
	b.becomes(b.begin("service.stop", `{}`), "done")
	if err := os.Chmod(b.inst.RecordFile(), 0o644); err != nil {
		t.Fatal(err)
	}
	b.found("credentials-open", "Close them to others")
	b.becomes(b.begin("diagnose.repair", `{"id": "credentials-open"}`), "done")
	b.gone("credentials-open")

	// A damaged store: the backup of the stop brings the VM back, and the damaged file is kept.
	store := filepath.Join(b.inst.StoreDir(), "state.db")
	for _, path := range []string{store + "-wal", store + "-shm"} {
		_ = os.Remove(path) // not there after a stop in order
	}
	if err := os.WriteFile(store, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := b.becomes(b.begin("service.start", `{}`), "failed")
	if p := s.Operations[len(s.Operations)-1].Problem; !strings.Contains(p.Message, "rdd svc restore") || !strings.Contains(p.Log, "rddd.log") {
		t.Errorf("%+v", p)
	}
	b.found("datastore-damaged", "Restore the newest backup")
	b.becomes(b.begin("diagnose.repair", `{"id": "datastore-damaged"}`), "done")
	b.becomes(b.begin("service.start", `{}`), "done")
	b.sees("the VM", vmIs("demo", "Running"))

	for _, id := range []string{"qemu-missing", "no-such-problem", ""} {
		if _, problem := b.api.Call(t.Context(), "diagnose.repair", []byte(fmt.Sprintf(`{"id": %q}`, id))); problem == nil || problem.Kind != "usage" {
			t.Errorf("%q: %+v", id, problem)
		}
	}
}
