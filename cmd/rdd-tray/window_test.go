//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/instance"
)

// Each tray that ended while its window was open left the file with the window's errors.
func TestTheWindowsErrorsLeaveNoFile(t *testing.T) {
	home := t.TempDir()
	for name, value := range map[string]string{"HOME": home, "RDD_LIBEXEC": home, "TMPDIR": filepath.Join(home, "tmp")} {
		t.Setenv(name, value)
	}
	script := "#!/bin/sh\nls -A \"$TMPDIR\" >\"$HOME/files\"\nyes x | head -n 1000 >&2\necho no display >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(home, "rdd-window"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(os.TempDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	inst, err := instance.Resolve("default")
	if err != nil {
		t.Fatal(err)
	}
	if err := openWindow(inst); err == nil || !strings.HasSuffix(err.Error(), "x\nno display") || len(err.Error()) > maxReason {
		t.Errorf("the error is %q", err)
	}
	if files, err := os.ReadFile(filepath.Join(home, "files")); err != nil || len(files) > 0 {
		t.Errorf("while the window is open there are: %s, %v", files, err)
	}
}
