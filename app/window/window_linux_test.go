package window_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rancherdesktop.io/rdd/internal/desktoptest"
	"rancherdesktop.io/rdd/internal/machine/machinetest"
)

func TestMain(m *testing.M) {
	machinetest.Main()
	os.Exit(m.Run())
}

// newSession returns a desktop with a screen that is large enough for the window.
func newSession(tb testing.TB) *desktoptest.Session {
	tb.Helper()
	d := desktoptest.NewSession(tb, "rdd-window")
	d.Screen = desktoptest.StartScreen(tb, 1280, 800)
	return d
}

// windows returns the visible windows of rdd-window. The program that the Wails CLI builds for development has a longer name.
func windows(d *desktoptest.Session) (all []desktoptest.Window) {
	d.Helper()
	for _, w := range d.Screen.Windows() {
		if strings.HasPrefix(w.Program, "rdd-window") && w.Title == "RDD" {
			all = append(all, w)
		}
	}
	return all
}

// seen waits until there are n windows.
func seen(d *desktoptest.Session, n int) []desktoptest.Window {
	d.Helper()
	var all []desktoptest.Window
	d.Eventually("the right number of windows", func() bool { all = windows(d); return len(all) == n })
	return all
}

func TestWithoutADisplayItSaysWhatToDo(t *testing.T) {
	d := desktoptest.NewSession(t, "rdd-window")
	for _, screen := range []*desktoptest.Screen{nil, {Display: ":9999"}} {
		d.Screen = screen
		w := d.Start("rdd-window")
		w.MustExit(1)
		if said := w.Output(); !strings.Contains(said, "rdd dashboard") || strings.Contains(said, "goroutine") {
			t.Errorf("screen %+v: %s", screen, said)
		}
	}
	w := d.Start("rdd-window", "--colour", "red")
	w.MustExit(2)
	if said := w.Output(); !strings.Contains(said, "--page") {
		t.Error(said)
	}
	if _, err := os.Stat(filepath.Join(d.Home, ".local", "share", "rdd")); err == nil {
		t.Error("an instance was created")
	}
}

func TestASecondStartShowsTheFirstWindow(t *testing.T) {
	d := newSession(t)
	d.Bus.End() // the window must not need it
	first := d.Start("rdd-window")
	seen(d, 1)
	d.Start("rdd-window", "--page", "settings").MustExit(0)
	if n := len(windows(d)); n != 1 {
		t.Error(n, "windows")
	}
	other := d.Start("rdd-window", "--instance", "other")
	seen(d, 2)
	for _, w := range []*desktoptest.Program{first, other} {
		if err := w.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		w.MustExit(0)
	}
	again := d.Start("rdd-window")
	seen(d, 1)
	_ = again.Kill() // this leaves a lock and a socket behind
	again.MustExit(-1)
	seen(d, 0)
	again = d.Start("rdd-window")
	seen(d, 1)
	_ = again.Signal(syscall.SIGTERM)
	again.MustExit(0)
	if _, err := os.Stat(filepath.Join(d.Home, ".local", "share", "rdd", "default")); err == nil {
		t.Error("opening the window has created an instance")
	}
}
