package templatetext

import (
	"fmt"
	"strings"
	"testing"
)

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"cpus: 1\n":                          "cpus: 1\n",
		"":                                   "",
		"\ufeffcpus: 1":                      "cpus: 1",
		"\ufeff%YAML 1.2\r\n---\r\na: 1\r\n": "#YAML 1.2\n---\na: 1\n",
		"# hi\n\n%TAG ! x\n%YAML 1.1\n--- \n%a: 1\n": "# hi\n\n#TAG ! x\n#YAML 1.1\n--- \n%a: 1\n",
		"a: |\n  x\n%b: 1\n":                         "a: |\n  x\n%b: 1\n",
	} {
		if got := string(Plain([]byte(in))); got != want {
			t.Errorf("%q became %q, not %q", in, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	if err := Check([]byte(strings.Repeat("é", MaxBytes/2))); err != nil {
		t.Error(err)
	}
	if err := Check([]byte(strings.Repeat("é", MaxBytes/2) + "x")); err == nil || !strings.Contains(err.Error(), "at most 256KiB") {
		t.Error(err)
	}
	if err := Check([]byte("a: 1\nb: caf\xe9\n")); err == nil || !strings.HasPrefix(err.Error(), "line 2: ") {
		t.Error(err)
	}
}

func TestEndlessAliasesAreRefused(t *testing.T) {
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		bomb += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), i)
	}
	for name, tc := range map[string]struct{ text, says string }{
		"a list in itself":        {"x: &a\n- b\n- *a\n", "line 3: *a is inside the value that &a defines"},
		"a map in itself":         {"x: &a {b: {c: *a}}\n", "line 1: *a is inside"},
		"lists of lists":          {bomb, "expand to too many values"},
		"an anchor used twice":    {"x: &a [b]\ny: *a\nz: [*a, *a]\n", ""},
		"an anchor defined again": {"x: &a [b]\ny: &a [c, *a]\n", "is inside"},
	} {
		var v map[string]any
		err := Unmarshal([]byte(tc.text), &v)
		if (err != nil) != (tc.says != "") || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
