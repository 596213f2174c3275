package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/desktoptest"
)

// hang is how long a window may take to come before a test calls it one that never does.
const hang = 60 * time.Second

// desk is a home directory and, for those who ask, a display.
type desk struct {
	*testing.T
	home, program, display string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	program, err := filepath.Abs(filepath.Join("..", "..", "dist", "libexec", "rdd", "rdd-window"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("rdd-window is missing; make it with: make build (it needs GTK and WebKit)")
	}
	home, err := os.MkdirTemp("", "rw") // short, because a socket lives below it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	return &desk{T: t, home: home, program: program}
}

// command is rdd-window with args on the desk's display.
func (d *desk) command(args ...string) (*exec.Cmd, *bytes.Buffer) {
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	d.Cleanup(cancel)
	said := &bytes.Buffer{}
	cmd := exec.CommandContext(ctx, d.program, args...)
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if name != "HOME" && name != "DISPLAY" && name != "WAYLAND_DISPLAY" && name != "DBUS_SESSION_BUS_ADDRESS" && !strings.HasPrefix(name, "RDD_") && !strings.HasPrefix(name, "XDG_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "HOME="+d.home, "DISPLAY="+d.display)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.WaitDelay = time.Second // WebKit's processes may hold the pipe a little longer
	return cmd, said
}

func (d *desk) eventually(what string, ok func() bool) {
	d.Helper()
	for late := time.Now().Add(hang); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(late) {
			d.Fatalf("not within %s: %s", hang, what)
		}
	}
}

// windows counts those on a screen.
func (d *desk) windows(s *desktoptest.Screen) (n int) {
	d.Helper()
	for _, w := range s.Windows() {
		if w.Program == "rdd-window" && w.Title == "RDD" {
			n++
		}
	}
	return n
}

func exitCode(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

func TestWithoutADisplayItSaysWhatToDo(t *testing.T) {
	d := newDesk(t)
	for _, display := range []string{"", ":9999"} {
		d.display = display
		cmd, said := d.command()
		if code := exitCode(cmd.Run()); code != 1 || !strings.Contains(said.String(), "rdd dashboard") || strings.Contains(said.String(), "goroutine") {
			t.Errorf("display %q: exit code %d: %s", display, code, said)
		}
	}
	cmd, said := d.command("--colour", "red")
	if code := exitCode(cmd.Run()); code != 2 || !strings.Contains(said.String(), "--page") {
		t.Errorf("exit code %d: %s", code, said)
	}
	if _, err := os.Stat(filepath.Join(d.home, ".local", "share", "rdd")); err == nil {
		t.Error("an instance was made")
	}
}

func TestASecondStartComesToTheFirstWindow(t *testing.T) {
	d := newDesk(t)
	screen := desktoptest.StartScreen(t, 1280, 800)
	d.display = screen.Display
	first, said := d.command()
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	d.eventually("a window", func() bool { return d.windows(screen) == 1 })
	second, secondSaid := d.command("--page", "settings")
	if code := exitCode(second.Run()); code != 0 {
		t.Errorf("exit code %d: %s", code, secondSaid)
	}
	if n := d.windows(screen); n != 1 {
		t.Error(n, "windows")
	}
	other, otherSaid := d.command("--instance", "other")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	d.eventually("the other instance's window", func() bool { return d.windows(screen) == 2 })
	for cmd, said := range map[*exec.Cmd]*bytes.Buffer{first: said, other: otherSaid} {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if code := exitCode(cmd.Wait()); code != 0 {
			t.Errorf("exit code %d: %s", code, said)
		}
	}
	again, _ := d.command()
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	d.eventually("a window again", func() bool { return d.windows(screen) == 1 })
	_ = again.Process.Kill() // a lock and a socket are left, which must not matter
	_ = again.Wait()
	again, said = d.command()
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	d.eventually("a window after a crash", func() bool { return d.windows(screen) == 1 })
	_ = again.Process.Signal(syscall.SIGTERM)
	if code := exitCode(again.Wait()); code != 0 {
		t.Errorf("exit code %d: %s", code, said)
	}
	if _, err := os.Stat(filepath.Join(d.home, ".local", "share", "rdd", "default")); err == nil {
		t.Error("looking has made an instance")
	}
}
