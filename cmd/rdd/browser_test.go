//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/testenv"
)

// Runs all browser tests over a real service with the fake rdd-lima.
func TestBrowserWithARealService(t *testing.T) {
	t.Parallel()
	e := newBrowserEnv(t)
	settings := filepath.Join(e.libexec(), "fake")
	e.runBrowserTests([]string{
		fmt.Sprintf("RDD_HOLD=mkdir -p %[1]s && rm -f %[1]s/booted && printf late >%[1]s/boot", settings),
		fmt.Sprintf("RDD_RELEASE=: >%s/booted", settings), "RDD_TIMEOUT=60000",
	})
}

func bootInTheBrowser(t *testing.T) {
	e := newBootingBrowserEnv(t)
	e.runBrowserTests([]string{pageTimeout}, "first run", "a real VM")
}

func appInTheBrowser(t *testing.T) {
	e := newBootingBrowserEnv(t)
	testenv.Program(t, "docker", "docker.io")
	box := filepath.Join(e.home, "box.tar")
	if err := buildBox(box); err != nil {
		t.Fatal(err)
	}
	e.runBrowserTests([]string{pageTimeout, "RDD_BOX=" + box}, "a real engine")
}

// pageTimeout is for a boot under emulation, which takes a minute or two.
const pageTimeout = "RDD_TIMEOUT=900000"

// newBootingBrowserEnv returns an environment whose page boots real VMs.
func newBootingBrowserEnv(t *testing.T) *testEnv {
	e := newBrowserEnv(t)
	lima := filepath.Join(e.libexec(), "rdd-lima")
	if err := errors.Join(os.Remove(lima), os.Symlink(filepath.Join(dist(t), "libexec", "rdd", "rdd-lima"), lima)); err != nil {
		t.Fatal(err)
	}
	mustKeepProbe(t, filepath.Join(e.shortDir(), "lima"))
	return e
}

// newBrowserEnv returns an environment whose page offers the templates that ship with RDD.
func newBrowserEnv(t testing.TB) *testEnv {
	t.Helper()
	needBrowser(t)
	e := newTestEnv(t)
	if err := os.Symlink(filepath.Join(dist(t), "share"), filepath.Join(e.home, "share")); err != nil {
		t.Fatal(err)
	}
	return e
}

func needBrowser(t testing.TB) {
	t.Helper()
	need(t, "/usr/bin/chromium", "build/setup test")
	need(t, filepath.Join("..", "..", "frontend", "node_modules", "playwright-core"), "make frontend")
}

// runBrowserTests runs the browser tests whose names contain one of the parts, or all tests.
func (e *testEnv) runBrowserTests(env []string, parts ...string) {
	e.t.Helper()
	address, end := e.dashboard(nil, "--no-open")
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", append([]string{"e2e/run.mjs"}, parts...)...)
	cmd.Dir = filepath.Join("..", "..", "frontend")
	cmd.Env = append(os.Environ(), append(env, "RDD_URL="+address, "RDD_SHOTS="+e.t.TempDir())...)
	cmd.WaitDelay = 10 * time.Second // the browser's processes may keep the pipe open
	said, err := cmd.CombinedOutput()
	if err != nil {
		e.t.Error(err)
	}
	e.t.Logf("%s", said)
	if code := end(os.Interrupt); code != 0 {
		e.t.Error("Ctrl-C: exit code", code)
	}
}
