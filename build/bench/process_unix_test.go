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

func TestMeasureForwardsAnInterruptAndWaits(t *testing.T) {
	env, err := exec.LookPath("env")
	if err != nil {
		t.Skip("there is no env to start a shell with")
	}
	peak, home := peakProgram(t), t.TempDir()
	started, ended := filepath.Join(home, "started"), filepath.Join(home, "ended")
	if err := syscall.Mkfifo(started, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		// A shell can't trap a signal that was ignored when it started, as SIGINT is in a background job. It
		// runs a trap during wait, but not while a command is in the foreground.
		_, _, err := measure(ctx, peak, map[string]string{"HOME": home}, env, "--default-signal=INT", "sh", "-c", `cd; sleep 600 & trap 'echo > ended; kill $!; exit 0' INT; echo > started; wait`)
		done <- err
	}()
	if _, err := os.ReadFile(started); err != nil { // until the shell has written
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
	if _, err := os.Stat(ended); err != nil {
		t.Errorf("the command did not handle the interrupt: %v", err)
	}
}
