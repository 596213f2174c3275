//go:build linux

// Package desktoptest is a desktop for tests: a session bus of their own, a panel that shows tray icons,
// somebody who shows notifications, and a screen. All of them speak the real protocols.
package desktoptest

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"rancherdesktop.io/rdd/internal/testenv"
)

// Bus is a session bus.
type Bus struct {
	testing.TB
	path string
	cmd  *exec.Cmd
	end  sync.Once
}

// Path is where a bus of this test may be.
func Path(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "bus")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { // what the bus has started ends after it, and may write its last words meanwhile
		for late := time.Now().Add(testenv.Timeout); os.RemoveAll(dir) != nil && time.Now().Before(late); {
			time.Sleep(10 * time.Millisecond)
		}
	})
	return filepath.Join(dir, "bus")
}

// Address is how programs find a bus at a path: the value of DBUS_SESSION_BUS_ADDRESS.
func Address(path string) string { return "unix:path=" + path }

// StartBus starts a bus at a path. It ends with the test. Without dbus-daemon the test is skipped, or
// fails where everything is required.
func StartBus(tb testing.TB, path string) *Bus {
	tb.Helper()
	Need(tb, "dbus-daemon", "dbus")
	b := &Bus{TB: tb, path: path}
	b.cmd = exec.Command("dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address", "--address="+Address(path))
	b.cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool { // what it starts must not touch the desktop of who runs the test
		name, _, _ := strings.Cut(kv, "=")
		return name == "DISPLAY" || name == "WAYLAND_DISPLAY" || strings.HasPrefix(name, "XDG_")
	}), "HOME="+b.Home())
	out, err := b.cmd.StdoutPipe()
	if err == nil {
		err = b.cmd.Start()
	}
	if err == nil {
		_, err = bufio.NewReader(out).ReadString('\n') // it listens
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(b.End)
	return b
}

// Need skips the test when a program is missing that a Debian package has, or fails it where everything
// is required.
func Need(tb testing.TB, program, debian string) {
	tb.Helper()
	if _, err := exec.LookPath(program); err != nil {
		missing(tb, program, debian)
	}
}

func missing(tb testing.TB, what, debian string) {
	tb.Helper()
	testenv.Missing(tb, "there is no %s; install the package %s", what, debian)
}

// Home is the home directory of the programs that the bus starts because somebody calls them.
func (b *Bus) Home() string { return filepath.Dir(b.path) }

// End ends the bus, as the end of a session does.
func (b *Bus) End() {
	b.end.Do(func() {
		_ = b.cmd.Process.Kill()
		_ = b.cmd.Wait()
	})
}

// connect returns a connection that ends with the test.
func (b *Bus) connect() *dbus.Conn { b.Helper(); return b.connectTo(Address(b.path)) }

func (b *Bus) connectTo(address string) *dbus.Conn {
	b.Helper()
	conn, err := dbus.Connect(address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return conn
}
