package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/desktoptest"
	"rancherdesktop.io/rdd/internal/machine/machinetest"
)

func TestMain(m *testing.M) {
	machinetest.Play()
	os.Exit(m.Run())
}

// box is an instance in a home directory of its own on a desktop of its own. Its programs are those that
// `make build` made, but for rdd-lima and rdd-window, which are played.
type box struct {
	testing.TB
	home  string
	stage machinetest.Stage
	bus   *desktoptest.Bus
	path  string // of the bus
}

func newBox(t testing.TB) *box {
	t.Helper()
	dist, err := filepath.Abs("../../dist")
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"bin/rdd", "libexec/rdd/rddd", "libexec/rdd/rdd-tray"} {
		if _, err := os.Stat(filepath.Join(dist, program)); err != nil {
			if os.Getenv("RDD_TEST_REQUIRE") != "" {
				t.Fatalf("%v; make it with: make build", err)
			}
			t.Skipf("%v; make it with: make build", err)
		}
	}
	b := &box{TB: t, path: desktoptest.Path(t)}
	b.bus = desktoptest.StartBus(t, b.path)
	if b.home, err = os.MkdirTemp("", "rt"); err != nil { // short, because sockets live below it
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.rdd("svc", "stop", "--force") // a test that failed may have left a guest that doesn't power off
		b.rdd("svc", "delete")
		if err := os.RemoveAll(b.home); err != nil {
			t.Error(err)
		}
	})
	if b.stage, err = machinetest.NewStage(b.libexec()); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(b.home, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"bin/rdd", "libexec/rdd/rddd", "libexec/rdd/rdd-tray"} {
		if err := os.Symlink(filepath.Join(dist, program), filepath.Join(b.home, program)); err != nil {
			t.Fatal(err)
		}
	}
	b.write("vm.yaml", "images: []\n")
	return b
}

func (b *box) libexec() string { return filepath.Join(b.home, "libexec", "rdd") }

func (b *box) write(name, text string) {
	b.Helper()
	if err := os.WriteFile(filepath.Join(b.home, name), []byte(text), 0o700); err != nil {
		b.Fatal(err)
	}
}

// read returns a file's text, empty when there is none.
func (b *box) read(name string) string {
	text, err := os.ReadFile(filepath.Join(b.home, name))
	if err != nil && !os.IsNotExist(err) {
		b.Error(err)
	}
	return string(text)
}

// window makes an rdd-window that notes its arguments, and then does what script says.
func (b *box) window(script string) {
	b.Helper()
	b.write("libexec/rdd/rdd-window", "#!/bin/sh\necho \"$@\" >>"+b.home+"/window.log\n"+script)
}

func (b *box) env() []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return name == "HOME" || strings.HasPrefix(name, "RDD_") || strings.HasPrefix(name, "XDG_") || strings.HasPrefix(name, "DBUS_")
	})
	return append(env, "HOME="+b.home, "RDD_LIBEXEC="+b.libexec(), "DBUS_SESSION_BUS_ADDRESS="+desktoptest.Address(b.path))
}

// rdd runs the CLI, which must succeed.
func (b *box) rdd(args ...string) string {
	b.Helper()
	cmd := exec.Command(filepath.Join(b.home, "bin", "rdd"), args...)
	cmd.Env, cmd.Dir = b.env(), b.home
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Errorf("rdd %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// process is a running rdd-tray.
type process struct {
	*box
	cmd   *exec.Cmd
	said  bytes.Buffer
	ended chan error
}

func (b *box) tray() *process {
	b.Helper()
	t := &process{box: b, cmd: exec.Command(filepath.Join(b.libexec(), "rdd-tray")), ended: make(chan error, 1)}
	t.cmd.Env, t.cmd.Dir, t.cmd.Stderr = b.env(), b.home, &t.said
	if err := t.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	go func() { t.ended <- t.cmd.Wait() }()
	b.Cleanup(func() {
		_ = t.cmd.Process.Signal(os.Interrupt)
		t.ends()
	})
	return t
}

// ends waits for the tray's end, which must be in order.
func (t *process) ends() {
	t.Helper()
	select {
	case err := <-t.ended:
		t.ended <- err
		if err != nil {
			t.Errorf("the tray: %v\n%s", err, &t.said)
		}
	case <-time.After(desktoptest.Hang):
		_ = t.cmd.Process.Kill()
		t.Errorf("the tray does not end")
	}
}

// eventually waits until ok.
func (b *box) eventually(what string, ok func() bool) {
	b.Helper()
	for late := time.Now().Add(desktoptest.Hang); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			b.Fatalf("never: %s", what)
		}
	}
}

// kill ends the service as a crash would.
func kill(t *testing.T, b *box) {
	t.Helper()
	var status struct{ PID int }
	if err := json.Unmarshal([]byte(b.rdd("svc", "status", "-o", "json")), &status); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(status.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
