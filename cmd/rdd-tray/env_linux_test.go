package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"rancherdesktop.io/rdd/internal/desktoptest"
	"rancherdesktop.io/rdd/internal/machine/machinetest"
)

func TestMain(m *testing.M) {
	machinetest.Main()
	os.Exit(m.Run())
}

// testEnv is a session with the tray. Its rdd-window can be a fake.
type testEnv struct{ *desktoptest.Session }

func newTestEnv(tb testing.TB) *testEnv {
	tb.Helper()
	return &testEnv{desktoptest.NewSession(tb, "rdd-tray")}
}

// fakeWindow installs an rdd-window that appends its arguments to window.log and then runs the script.
func (e *testEnv) fakeWindow(script string) {
	e.Helper()
	e.Write("libexec/rdd/rdd-window", "#!/bin/sh\necho \"$@\" >>"+e.Home+"/window.log\n"+script)
}

func (e *testEnv) tray() *desktoptest.Program { e.Helper(); return e.Start("rdd-tray") }

// withApp makes the App possible: with a guest, and with these containers in its engine.
func (e *testEnv) withApp(containers string) {
	e.Helper()
	guest := filepath.Join(e.Home, "share", "rdd", "guest")
	if err := errors.Join(os.MkdirAll(guest, 0o700), os.WriteFile(filepath.Join(guest, "rdd-guest.yaml"), []byte("images: []\n"), 0o600), e.Fake.Set("containers", containers)); err != nil {
		e.Fatal(err)
	}
}

// killService kills the service, like a crash.
func killService(t *testing.T, e *testEnv) {
	t.Helper()
	var status struct{ PID int }
	if err := json.Unmarshal([]byte(e.RDD("svc", "status", "-o", "json")), &status); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(status.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
