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

// Session is where a person sits: a home directory with RDD in it. RDD's programs are those that `make build`
// made, but for rdd-lima, which is played by the test binary: its TestMain calls machinetest.Play.
type Session struct {
	testing.TB
	Home     string
	Template string // of a VM that boots, below the home
	Fake     machinetest.Fake
	Bus      *Bus
	Screen   *Screen // nil: there is none

	busPath string
}

// NewSession makes a home with the service, the CLI and those of RDD's programs that are named, and a session
// bus. All of it is gone with the test, and no process of it may be left then.
func NewSession(tb testing.TB, programs ...string) *Session {
	tb.Helper()
	if testing.Short() {
		tb.Skip("runs the programs that make build made")
	}
	dist, err := filepath.Abs(filepath.Join("..", "..", "dist"))
	if err != nil {
		tb.Fatal(err)
	}
	s := &Session{TB: tb, Template: "./vm.yaml", busPath: Path(tb)}
	s.Bus = StartBus(tb, s.busPath)
	if s.Home, err = os.MkdirTemp("", "rd"); err != nil { // short, because sockets live below it
		tb.Fatal(err)
	}
	tb.Cleanup(s.cleanUp)
	if s.Fake, err = machinetest.New(s.Libexec()); err == nil {
		err = os.Mkdir(filepath.Join(s.Home, "bin"), 0o700)
	}
	paths := []string{"bin/rdd", "libexec/rdd/rddd"}
	for _, program := range programs {
		paths = append(paths, "libexec/rdd/"+program)
	}
	for _, path := range paths {
		made := filepath.Join(dist, path)
		if _, missing := os.Stat(made); missing != nil {
			s.missing(made)
		}
		err = errors.Join(err, os.Symlink(made, filepath.Join(s.Home, path)))
	}
	if err != nil {
		tb.Fatal(err)
	}
	s.Write("vm.yaml", "images: []\n")
	return s
}

// missing skips the test, or fails it where everything is required.
func (s *Session) missing(program string) {
	s.Helper()
	testenv.Missing(s, "there is no %s; make it with: make build (rdd-window needs GTK and WebKit)", program)
}

// cleanUp deletes the instance and looks for processes.
func (s *Session) cleanUp() {
	s.RDD("svc", "stop", "--force") // a test that failed may have left a guest that doesn't power off
	s.RDD("svc", "delete")
	var left map[int]string
	if !testenv.Within(func() bool { left = s.Processes(); return len(left) == 0 }) {
		s.Errorf("left behind: %v", left)
	}
	if err := os.RemoveAll(s.Home); err != nil {
		s.Error(err)
	}
}

// Libexec is the folder of RDD's programs.
func (s *Session) Libexec() string { return filepath.Join(s.Home, "libexec", "rdd") }

// Write writes a file below the home, which may be run.
func (s *Session) Write(name, text string) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.Home, name), []byte(text), 0o700); err != nil {
		s.Fatal(err)
	}
}

// Read returns a file's text, empty when there is none.
func (s *Session) Read(name string) string {
	text, err := os.ReadFile(filepath.Join(s.Home, name))
	if err != nil && !os.IsNotExist(err) {
		s.Error(err)
	}
	return string(text)
}

// Env is the environment of the desk's programs.
func (s *Session) Env() []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains([]string{"HOME", "DISPLAY", "WAYLAND_DISPLAY", "KUBECONFIG"}, name) ||
			strings.HasPrefix(name, "RDD_") || strings.HasPrefix(name, "XDG_") || strings.HasPrefix(name, "DBUS_")
	})
	env = append(env, "HOME="+s.Home, "RDD_LIBEXEC="+s.Libexec(), "DBUS_SESSION_BUS_ADDRESS="+Address(s.busPath))
	if s.Screen != nil {
		env = append(env, "DISPLAY="+s.Screen.Display)
	}
	return env
}

// command runs a program below the home.
func (s *Session) command(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.Home, path), args...)
	cmd.Env, cmd.Dir = s.Env(), s.Home
	return cmd
}

// RDD runs the CLI, which must succeed, and returns what it says.
func (s *Session) RDD(args ...string) string {
	s.Helper()
	out, err := s.command("bin/rdd", args...).CombinedOutput()
	if err != nil {
		s.Errorf("rdd %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// Program is one of RDD's that runs.
type Program struct {
	*Session
	*os.Process
	cmd        *exec.Cmd
	outputFile string // a file: a pipe would be held open by its children, too
	ended      chan struct{}
	checked    bool // the test has looked at its end
}

// Start starts one of RDD's programs. If it still runs at the end of the test, it is interrupted, and must
// end in order.
func (s *Session) Start(program string, args ...string) *Program {
	s.Helper()
	out, err := os.CreateTemp(s.Home, program+"-*.out")
	if err != nil {
		s.Fatal(err)
	}
	defer out.Close()
	p := &Program{Session: s, cmd: s.command("libexec/rdd/"+program, args...), outputFile: filepath.Base(out.Name()), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		s.Fatal(err)
	}
	p.Process = p.cmd.Process
	go func() { _ = p.cmd.Wait(); close(p.ended) }()
	s.Cleanup(func() {
		if !p.checked {
			_ = p.Signal(os.Interrupt) // it may have ended
			p.MustExit(0)
		}
	})
	return p
}

// MustExit waits for the end of the program, which must come with that exit code; -1 is a signal.
func (p *Program) MustExit(code int) {
	p.Helper()
	p.checked = true
	select {
	case <-p.ended:
		if got := p.cmd.ProcessState.ExitCode(); got != code {
			p.Errorf("%s: exit code %d, want %d: %s", p.cmd, got, code, p.Output())
		}
	case <-time.After(testenv.Timeout):
		_ = p.Kill()
		p.Errorf("%s does not end: %s", p.cmd, p.Output())
	}
}

// Output is what the program has said so far.
func (p *Program) Output() string { return p.Read(p.outputFile) }

// Processes are those of this home, by PID, with their command lines.
func (s *Session) Processes() map[int]string {
	s.Helper()
	found := map[int]string{}
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		s.Fatal(err)
	}
	for _, path := range paths {
		env, _ := os.ReadFile(path) // of one that is gone or dead: nothing
		if !bytes.Contains(append([]byte{0}, env...), []byte("\x00HOME="+s.Home+"\x00")) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		found[pid] = strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))
	}
	return found
}

// Eventually waits until ok.
func (s *Session) Eventually(what string, ok func() bool) {
	s.Helper()
	testenv.Eventually(s, what, ok)
}
