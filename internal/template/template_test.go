package template

import (
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
