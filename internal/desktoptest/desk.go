//go:build linux

package desktoptest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/machine/machinetest"
	"rancherdesktop.io/rdd/internal/testenv"
)

// Desk is where a person sits: a home directory with RDD in it. RDD's programs are those that `make build`
// made, but for rdd-lima, which is played by the test binary: its TestMain calls machinetest.Play.
type Desk struct {
	testing.TB
	Home     string
	Template string // of a VM that boots, below the home
	Stage    machinetest.Fake
	Bus      *Bus
	Screen   *Screen // nil: there is none

	busPath string
}

// NewDesk makes a home with the service, the CLI and those of RDD's programs that are named, and a session
// bus. All of it is gone with the test, and no process of it may be left then.
func NewDesk(tb testing.TB, programs ...string) *Desk {
	tb.Helper()
	if testing.Short() {
		tb.Skip("runs the programs that make build made")
	}
	dist, err := filepath.Abs(filepath.Join("..", "..", "dist"))
	if err != nil {
		tb.Fatal(err)
	}
	d := &Desk{TB: tb, Template: "./vm.yaml", busPath: Path(tb)}
	d.Bus = StartBus(tb, d.busPath)
	if d.Home, err = os.MkdirTemp("", "rd"); err != nil { // short, because sockets live below it
		tb.Fatal(err)
	}
	tb.Cleanup(d.leave)
	if d.Stage, err = machinetest.New(d.Libexec()); err == nil {
		err = os.Mkdir(filepath.Join(d.Home, "bin"), 0o700)
	}
	paths := []string{"bin/rdd", "libexec/rdd/rddd"}
	for _, program := range programs {
		paths = append(paths, "libexec/rdd/"+program)
	}
	for _, path := range paths {
		made := filepath.Join(dist, path)
		if _, missing := os.Stat(made); missing != nil {
			d.lacks(made)
		}
		err = errors.Join(err, os.Symlink(made, filepath.Join(d.Home, path)))
	}
	if err != nil {
		tb.Fatal(err)
	}
	d.Write("vm.yaml", "images: []\n")
	return d
}

// lacks skips the test, or fails it where everything is required.
func (d *Desk) lacks(program string) {
	d.Helper()
	testenv.Missing(d, "there is no %s; make it with: make build (rdd-window needs GTK and WebKit)", program)
}

// leave deletes the instance and looks for processes.
func (d *Desk) leave() {
	d.RDD("svc", "stop", "--force") // a test that failed may have left a guest that doesn't power off
	d.RDD("svc", "delete")
	var left map[int]string
	if !testenv.Within(func() bool { left = d.Processes(); return len(left) == 0 }) {
		d.Errorf("left behind: %v", left)
	}
	if err := os.RemoveAll(d.Home); err != nil {
		d.Error(err)
	}
}

// Libexec is the folder of RDD's programs.
func (d *Desk) Libexec() string { return filepath.Join(d.Home, "libexec", "rdd") }

// Write writes a file below the home, which may be run.
func (d *Desk) Write(name, text string) {
	d.Helper()
	if err := os.WriteFile(filepath.Join(d.Home, name), []byte(text), 0o700); err != nil {
		d.Fatal(err)
	}
}

// Read returns a file's text, empty when there is none.
func (d *Desk) Read(name string) string {
	text, err := os.ReadFile(filepath.Join(d.Home, name))
	if err != nil && !os.IsNotExist(err) {
		d.Error(err)
	}
	return string(text)
}

// Env is the environment of the desk's programs.
func (d *Desk) Env() []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains([]string{"HOME", "DISPLAY", "WAYLAND_DISPLAY", "KUBECONFIG"}, name) ||
			strings.HasPrefix(name, "RDD_") || strings.HasPrefix(name, "XDG_") || strings.HasPrefix(name, "DBUS_")
	})
	env = append(env, "HOME="+d.Home, "RDD_LIBEXEC="+d.Libexec(), "DBUS_SESSION_BUS_ADDRESS="+Address(d.busPath))
	if d.Screen != nil {
		env = append(env, "DISPLAY="+d.Screen.Display)
	}
	return env
}

// command runs a program below the home.
func (d *Desk) command(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(d.Home, path), args...)
	cmd.Env, cmd.Dir = d.Env(), d.Home
	return cmd
}

// RDD runs the CLI, which must succeed, and returns what it says.
func (d *Desk) RDD(args ...string) string {
	d.Helper()
	out, err := d.command("bin/rdd", args...).CombinedOutput()
	if err != nil {
		d.Errorf("rdd %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// Program is one of RDD's that runs.
type Program struct {
	*Desk
	*os.Process
	cmd    *exec.Cmd
	said   string // a file: a pipe would be held open by its children, too
	ended  chan struct{}
	judged bool // the test has looked at its end
}

// Start starts one of RDD's programs. If it still runs at the end of the test, it is interrupted, and must
// end in order.
func (d *Desk) Start(program string, args ...string) *Program {
	d.Helper()
	out, err := os.CreateTemp(d.Home, program+"-*.out")
	if err != nil {
		d.Fatal(err)
	}
	defer out.Close()
	p := &Program{Desk: d, cmd: d.command("libexec/rdd/"+program, args...), said: filepath.Base(out.Name()), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		d.Fatal(err)
	}
	p.Process = p.cmd.Process
	go func() { _ = p.cmd.Wait(); close(p.ended) }()
	d.Cleanup(func() {
		if !p.judged {
			_ = p.Signal(os.Interrupt) // it may have ended
			p.Ends(0)
		}
	})
	return p
}

// Ends waits for the end of the program, which must come with that exit code; -1 is a signal.
func (p *Program) Ends(code int) {
	p.Helper()
	p.judged = true
	select {
	case <-p.ended:
		if got := p.cmd.ProcessState.ExitCode(); got != code {
			p.Errorf("%s: exit code %d, want %d: %s", p.cmd, got, code, p.Said())
		}
	case <-time.After(testenv.Timeout):
		_ = p.Kill()
		p.Errorf("%s does not end: %s", p.cmd, p.Said())
	}
}

// Said is what the program has said so far.
func (p *Program) Said() string { return p.Read(p.said) }

// Processes are those of this home, by PID, with their command lines.
func (d *Desk) Processes() map[int]string {
	d.Helper()
	found := map[int]string{}
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		d.Fatal(err)
	}
	for _, path := range paths {
		env, _ := os.ReadFile(path) // of one that is gone or dead: nothing
		if !bytes.Contains(append([]byte{0}, env...), []byte("\x00HOME="+d.Home+"\x00")) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		found[pid] = strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))
	}
	return found
}

// Eventually waits until ok.
func (d *Desk) Eventually(what string, ok func() bool) {
	d.Helper()
	testenv.Eventually(d, what, ok)
}
