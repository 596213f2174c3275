package window

import (
	"strings"
	"testing"
)

func TestArguments(t *testing.T) {
	a, _, err := Parse(strings.Fields("--instance work --page settings --operation 7 --ask quit"))
	if err != nil || a != (Arguments{Instance: "work", Request: Request{Operation: "7", Ask: "quit", Page: "settings"}}) {
		t.Errorf("%+v, %v", a, err)
	}
	for _, args := range []string{"--ask money", "--page <b>", "--operation ../x", "settings", "--colour red"} {
		if a, usage, err := Parse(strings.Fields(args)); err == nil || !strings.Contains(usage, "--page") {
			t.Errorf("%s: %+v", args, a)
		}
	}
}
