//go:build unix

package qemu

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"rancherdesktop.io/rdd/internal/proc"
)

// On a system where a killed hostagent doesn't end what it has started, QEMU ran on beside a VM that was said to be stopped.
func TestQEMUWhoseHostagentWasKilledMeanwhileDoesNotBegin(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "qemu.lock")
	if _, err := acquire(lock, os.Getpid()); !errors.Is(err, errHostagentGone) { // no process is its own parent
		t.Error(err)
	}
	if held, err := proc.Held(lock); held || err != nil {
		t.Error("the lock is held", err)
	}
	held, err := acquire(lock, os.Getppid())
	if err != nil {
		t.Fatal(err)
	}
	if err := held.Release(); err != nil {
		t.Error(err)
	}
}
