//go:build linux

// Package desktoptest provides a desktop for tests: a session bus, a panel that shows tray icons, a notification
// server, and a screen. All of them speak the real protocols.
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

// Path returns a path for the socket of a bus.
func Path(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "bus")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { // programs that the bus has started end after it, and may still write files
		for late := time.Now().Add(testenv.Timeout); os.RemoveAll(dir) != nil && time.Now().Before(late); {
			time.Sleep(10 * time.Millisecond)
		}
	})
	return filepath.Join(dir, "bus")
}

// Address returns the value of DBUS_SESSION_BUS_ADDRESS for a bus at a path.
func Address(path string) string { return "unix:path=" + path }

// StartBus starts a bus at a path. It ends with the test. Without dbus-daemon it calls testenv.Missing.
func StartBus(tb testing.TB, path string) *Bus {
	tb.Helper()
	Need(tb, "dbus-daemon", "dbus")
	b := &Bus{TB: tb, path: path}
	b.cmd = exec.Command("dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address", "--address="+Address(path))
	b.cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool { // programs that it starts must not touch the desktop on which the test runs
		name, _, _ := strings.Cut(kv, "=")
		return name == "DISPLAY" || name == "WAYLAND_DISPLAY" || strings.HasPrefix(name, "XDG_")
	}), "HOME="+b.Home())
	out, err := b.cmd.StdoutPipe()
	if err == nil {
		err = b.cmd.Start()
	}
	if err == nil {
		_, err = bufio.NewReader(out).ReadString('\n') // printed once it listens
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(b.End)
	return b
}

// Need calls testenv.Missing if a program is missing. debian is the package that has it.
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

// Home returns the home directory of the programs that the bus starts on demand.
func (b *Bus) Home() string { return filepath.Dir(b.path) }

// End ends the bus, like the end of a session.
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
