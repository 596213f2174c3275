//go:build unix

package core

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/lifecycle"
)

// Another client begins to stop the VMs of a crashed service just before a forced stop does. The forced stop makes the other
// one power off the VMs, and returns when it is done.
func TestForcedStopForcesAnotherStopAndWaitsForIt(t *testing.T) {
	root := t.TempDir()
	inst := instance.At(root, "i", root)
	err := errors.Join(inst.Create(), os.MkdirAll(inst.LimaHome(), 0o700), os.WriteFile(filepath.Join(root, "rddd"), []byte("#!/bin/sh\n"), 0o700))
	if err != nil {
		t.Fatal(err)
	}
	other, err := lifecycle.Take(inst, lifecycle.Leftovers)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	reaped := make(chan error, 1)
	go func() { reaped <- New(inst, "test").Service().reap(ctx, true, false, func(string) {}) }()
	forced := make(chan error, 1)
	go func() { forced <- lifecycle.AwaitForce(ctx, inst, lifecycle.Leftovers) }()
	select {
	case err := <-reaped:
		t.Fatal("it did not wait for the other stop:", err)
	case err := <-forced:
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := other.Release(); err != nil {
		t.Fatal(err)
	}
	if err := <-reaped; err != nil {
		t.Error(err)
	}
}
