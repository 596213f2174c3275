//go:build unix

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

func TestMeasurePassesAnInterruptOnAndWaits(t *testing.T) {
	env, err := exec.LookPath("env")
	if err != nil {
		t.Skip("there is no env to start a shell with")
	}
	peak, home := buildPeak(t), t.TempDir()
	up, bye := filepath.Join(home, "up"), filepath.Join(home, "bye")
	if err := syscall.Mkfifo(up, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		// A shell can't trap what was ignored when it began, as it is in a background job; and it runs a
		// trap while it waits, but not while a command is in its foreground.
		_, _, err := measure(ctx, peak, map[string]string{"HOME": home}, env, "--default-signal=INT", "sh", "-c", `cd; sleep 600 & trap 'echo bye > bye; kill $!; exit 0' INT; echo up > up; wait`)
		done <- err
	}()
	if _, err := os.ReadFile(up); err != nil { // until the shell has written
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
	if _, err := os.Stat(bye); err != nil {
		t.Errorf("the command did not end by the interrupt: %v", err)
	}
}
