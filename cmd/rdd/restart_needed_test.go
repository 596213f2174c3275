package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// After a change of its settings, a running VM is shown as needing a restart, until it is restarted.
func TestAVMWithNewSettingsSaysThatItNeedsARestart(t *testing.T) {
	t.Parallel()
	e := newTestEnv(t)
	e.start()
	e.must(0, "vm", "create", "demo", e.template, "--start")
	if r := e.must(0, "vm", "list", "-o", "json"); strings.Contains(r.out, "restartNeeded") {
		t.Errorf("before the change: %s", r.out)
	}
	changed := filepath.Join(e.home, "changed.yaml")
	if err := os.WriteFile(changed, []byte("images: []\ncpus: 3\nmounts: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e.must(0, "vm", "edit", "demo", "--file", changed)
	needed := regexp.MustCompile(`"restartNeeded": \[\s+"processors \d+ → 3",\s+"mounts in the template"\s+\]`)
	if r := e.must(0, "vm", "list"); !strings.Contains(r.out, "Running (restart needed)") {
		t.Errorf("list: %s", r.out)
	}
	if r := e.must(0, "vm", "show", "demo"); !regexp.MustCompile(`Restart needed +processors \d+ → 3, mounts in the template; apply with: rdd vm restart demo\n`).MatchString(r.out) {
		t.Errorf("show: %s", r.out)
	}
	for _, args := range [][]string{{"vm", "list", "-o", "json"}, {"vm", "show", "demo", "-o", "json"}} {
		if r := e.must(0, args...); !needed.MatchString(r.out) || !strings.Contains(r.out, `"kind": "LimaVM"`) {
			t.Errorf("%v: %s", args, r.out)
		}
	}
	e.must(0, "vm", "restart", "demo")
	if r := e.must(0, "vm", "list"); strings.Contains(r.out, "restart needed") {
		t.Errorf("after the restart: %s", r.out)
	}
	e.must(0, "vm", "stop", "demo")
}
