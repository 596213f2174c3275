package main

import (
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSplitCost(t *testing.T) {
	for _, c := range []struct{ stderr, text, line string }{
		{"", "", ""},
		{"\n{}\n", "", "{}"},
		{"rdd: no\nSee: help\n\n{\"wall\":1}\n", "rdd: no\nSee: help", "{\"wall\":1}"},
		{"first\nno such file\n", "first\nno such file", ""},
	} {
		if text, line := splitCost(c.stderr); text != c.text || line != c.line {
			t.Errorf("splitCost(%q) = %q, %q; want %q, %q", c.stderr, text, line, c.text, c.line)
		}
	}
}

func TestUserEnvDropsTheUsersOwnSettings(t *testing.T) {
	base := []string{"PATH=/bin", "HOME=/root", "RDD_INSTANCE=mine", "RDD_LIBEXEC=/l", "XDG_DATA_HOME=/data", "KUBECONFIG=/mine", "LIMA_HOME=/l"}
	got := userEnv(base, map[string]string{"RDD_INSTANCE": "x", "HOME": "/tmp/x"})
	if want := []string{"PATH=/bin", "HOME=/tmp/x", "RDD_INSTANCE=x"}; !slices.Equal(got, want) {
		t.Errorf("environment %q, want %q", got, want)
	}
}

func TestMeasure(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no shell to measure")
	}
	peak, home := peakProgram(t), t.TempDir()

	c, out, err := measure(t.Context(), peak, map[string]string{"HOME": home}, sh, "-c", "echo $HOME; echo noise >&2")
	if err != nil || string(out) != home+"\n" {
		t.Fatalf("printed %q, %v; want the home directory", out, err)
	}
	// A shell is smaller than this test, so this fails when our own memory is counted as the child's.
	if c.Wall <= 0 || c.Wall > time.Minute || c.Peak <= 0 || c.Peak > 10e6 {
		t.Errorf("a shell costs %+v, which is impossible", c)
	}
	_, _, err = measure(t.Context(), peak, map[string]string{"HOME": home}, sh, "-c", "echo because >&2; exit 7")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 || !strings.HasSuffix(err.Error(), ": because") {
		t.Errorf("error %v, want exit code 7 and the text on stderr", err)
	}
	if _, _, err := measure(t.Context(), peak, map[string]string{"HOME": home}, filepath.Join(home, "none")); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("error %v, want that there is no such program", err)
	}
}

func peakProgram(t *testing.T) string {
	t.Helper()
	path, err := buildPeak(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return path
}
