package window

import (
	"strings"
	"testing"
)

func TestArguments(t *testing.T) {
	a, _, err := Parse(strings.Fields("--instance work --page settings --operation start/demo --ask quit"))
	if err != nil || a != (Arguments{Instance: "work", Request: Request{Operation: "start/demo", Ask: "quit", Page: "settings"}}) {
		t.Errorf("%+v, %v", a, err)
	}
	for args, want := range map[string]Request{ // as the tray starts it
		"--page vm/demo/shell":                {Page: "machines/demo/shell"},
		"--operation start/demo":              {Page: "machines/demo"},
		"--operation start-service/work":      {Page: "overview"},
		"--operation start-app/app":           {Page: "overview"},
		"--page containers/0123abcd/logs":     {Page: "containers/0123abcd/logs"},
		"--page containers/k8s.io:A_b.c/logs": {Page: "containers/k8s.io:A_b.c/logs"},
		"--page diagnostics":                  {Page: "diagnostics"},
		"--operation stop/demo --ask quit":    {Page: "machines/demo", Ask: "quit"},
	} {
		if a, _, err := Parse(strings.Fields(args)); err != nil || a.routed() != want {
			t.Errorf("%s: %+v, %v", args, a, err)
		}
	}
	for _, args := range []string{"--ask money", "--page <b>", "--page vm//x", "--page /x", "--page a/../b", "--operation ../x", "settings", "--colour red"} {
		if a, usage, err := Parse(strings.Fields(args)); err == nil || !strings.Contains(usage, "--page") {
			t.Errorf("%s: %+v", args, a)
		}
	}
}
