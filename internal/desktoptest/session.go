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

	gopsutil "github.com/shirou/gopsutil/v4/process"

	"rancherdesktop.io/rdd/internal/machine/machinetest"
	"rancherdesktop.io/rdd/internal/testenv"
)

// Session is a desktop session of a user: a home directory, a bus, and the programs that `make build` built. Only
// rdd-lima is a fake, which is the test binary itself: its TestMain must call machinetest.Main.
type Session struct {
	testing.TB
	Home     string
	Template string // of a VM that boots, below the home
	Fake     machinetest.Fake
	Bus      *Bus
	Screen   *Screen // nil: there is none

	busPath string
}

// NewSession returns a session with the service, the CLI and the other programs of RDD that are named. It is removed at
// the end of the test, which fails if a process is left.
func NewSession(tb testing.TB, programs ...string) *Session {
	tb.Helper()
	if testing.Short() {
		tb.Skip("runs the programs that make build built")
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

// missing calls testenv.Missing for one of RDD's programs.
func (s *Session) missing(program string) {
	s.Helper()
	testenv.Missing(s, "there is no %s; make it with: make build (rdd-window needs GTK and WebKit)", program)
}

// cleanUp deletes the instance, and fails the test if a process is left.
func (s *Session) cleanUp() {
	s.RDD("svc", "stop", "--force") // after a failed test a guest may be left that doesn't power off
	s.RDD("svc", "delete")
	var left map[int]string
	if !testenv.Within(func() bool { left = s.Processes(); return len(left) == 0 }) {
		s.Errorf("left behind: %v", left)
	}
	if err := os.RemoveAll(s.Home); err != nil {
		s.Error(err)
	}
}

// Libexec returns the folder of RDD's programs.
func (s *Session) Libexec() string { return filepath.Join(s.Home, "libexec", "rdd") }

// Write writes an executable file below the home.
func (s *Session) Write(name, text string) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.Home, name), []byte(text), 0o700); err != nil {
		s.Fatal(err)
	}
}

// Read returns the text of a file below the home, or "" if there is none.
func (s *Session) Read(name string) string {
	text, err := os.ReadFile(filepath.Join(s.Home, name))
	if err != nil && !os.IsNotExist(err) {
		s.Error(err)
	}
	return string(text)
}

// Env returns the environment of the session's programs.
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

// command returns a command for a program below the home.
func (s *Session) command(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.Home, path), args...)
	cmd.Env, cmd.Dir = s.Env(), s.Home
	return cmd
}

// RDD runs the CLI, which must succeed, and returns its output.
func (s *Session) RDD(args ...string) string {
	s.Helper()
	out, err := s.command("bin/rdd", args...).CombinedOutput()
	if err != nil {
		s.Errorf("rdd %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// Program is a running program of RDD.
type Program struct {
	*Session
	*os.Process
	cmd        *exec.Cmd
	outputFile string // a file, because children would keep a pipe open
	ended      chan struct{}
	checked    bool // MustExit was called
}

// Start starts one of RDD's programs. At the end of the test it is interrupted, unless MustExit was called, and must exit
// with code 0.
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

// MustExit waits until the program exits, which must be with this code; -1 is a signal.
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

// Output returns what the program has printed so far.
func (p *Program) Output() string { return p.Read(p.outputFile) }

// Processes returns the command lines of the processes with this home, by PID.
func (s *Session) Processes() map[int]string {
	s.Helper()
	found := map[int]string{}
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		s.Fatal(err)
	}
	for _, path := range paths {
		env, _ := os.ReadFile(path) // empty if it has ended meanwhile
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

// PSS returns the proportional set size of a process in MiB: of memory that it shares with other processes, its share.
func PSS(tb testing.TB, pid int) float64 {
	tb.Helper()
	p := gopsutil.Process{Pid: int32(pid)}
	maps, err := p.MemoryMaps(true)
	if err != nil {
		tb.Fatal(err)
	}
	return float64((*maps)[0].Pss) / 1024
}
