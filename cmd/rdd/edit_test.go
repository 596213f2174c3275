package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A new VM has no template of its own yet. rdd vm edit must wait for it, and not reject text that the user has typed.
func TestATemplateIsEditedRightAfterItsVMWasCreated(t *testing.T) {
	e := newTestEnv(t)
	e.start()
	if err := os.WriteFile(e.template, []byte("images: []\nparam: {color: red}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", e.home)
	t.Setenv("EDITOR", "echo '# mine' >>")
	e.must(0, "ctl", "create", "configmap", "stored", "--from-file=template="+e.template)
	e.setFake("validate", "late")
	e.must(0, "vm", "create", "demo", "stored", "--wait=false")

	if r := e.must(0, "vm", "params", "demo"); !strings.Contains(r.out, "red") {
		t.Errorf("params: %s", r.out)
	}
	kept := regexp.MustCompile(`your text is in (\S+)\. Run it again with: rdd vm edit demo --file (\S+)`)
	r := e.must(4, "vm", "edit", "demo", "--timeout", "50ms")
	path := kept.FindStringSubmatch(r.err)
	if path == nil || path[1] != path[2] || !strings.Contains(r.err, "Nothing was changed") {
		t.Fatalf("at the deadline: %s", r.err)
	}
	if text, err := os.ReadFile(path[1]); err != nil || string(text) != "images: []\nparam: {color: red}\n# mine\n" {
		t.Errorf("the saved text: %q, %v", text, err)
	}

	// The edit waits until the VM has its template.
	edit := e.command(t.Context(), "vm", "edit", "demo", "--file", path[2])
	var said strings.Builder
	edit.Stderr = &said
	if err := edit.Start(); err != nil {
		t.Fatal(err)
	}
	e.setFake("validated", "")
	if err := edit.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	e.must(0, "vm", "params", "demo", "color=blue")
	e.must(0, "vm", "edit", "demo")
	if r := e.must(0, "ctl", "get", "configmap", "limavm-demo", "-n", "rdd-system", "-o", "jsonpath={.data.template}"); strings.Count(r.out, "# mine") != 2 {
		t.Errorf("the template is %q", r.out)
	}
	if left, _ := filepath.Glob(filepath.Join(e.home, "rdd-demo-*.yaml")); len(left) != 1 || left[0] != path[1] {
		t.Errorf("saved texts: %v, want only the first", left)
	}
}
