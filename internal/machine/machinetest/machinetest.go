// Package machinetest plays rdd-lima and the QEMU behind it for tests: real processes, kernel locks,
// events and files as those of real VMs, and a boot that takes milliseconds. A test binary plays it,
// when TestMain calls Play; `go test -c` of this package makes a program of it.
package machinetest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// program is the name under which a test binary plays rdd-lima.
const program = "rdd-lima"

// Play plays rdd-lima, and does not return, when this process was started under that name. Otherwise
// it does nothing.
func Play() {
	if strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") == program {
		if err := proc.EndWithParent(os.Getenv(proc.EnvTether)); err != nil {
			os.Exit(complain(err))
		}
		p := &player{stage: Stage{filepath.Dir(os.Args[0])}}
		os.Exit(p.play(os.Args[1:]))
	}
}

// Stage is a directory that holds the pretended rdd-lima, and what directs it: a file for each
// setting, which a test may change at any time. A player whose stage is gone ends.
//
//	validate, template, prepare, hostagent, clear, remove, probe, ssh:
//	          how that command goes: die, garbage, fail, permanent, hang (until interrupted), deaf, or
//	          how long it takes, such as 50ms
//	validate  also late: all but the first one, which lets a VM be stored, go on until the setting validated is there
//	boot      crash, refuse, late (until the setting booted is there), degraded, or how long it takes
//	stop      slow (until the setting stopped is there), deaf, or how long a guest takes to power off
//	qemu      orphan: it outlives its hostagent; deaf: it also ignores everything but SIGKILL
//	poweroff  every guest powers itself off
//
// A setting NAME.VM is that of one VM.
type Stage struct{ Dir string }

// NewStage puts a program that plays rdd-lima into dir. It is this test binary, whose TestMain must
// call Play.
func NewStage(dir string) (Stage, error) {
	s := Stage{dir}
	self, err := os.Executable()
	if err != nil {
		return s, err
	}
	if err := os.MkdirAll(s.settings(), 0o700); err != nil {
		return s, err
	}
	return s, os.Symlink(self, s.Program())
}

// Program is the path of the pretended rdd-lima.
func (s Stage) Program() string { return filepath.Join(s.Dir, program) }

// settings hold what directs the players, and what they counted.
func (s Stage) settings() string { return filepath.Join(s.Dir, "play") }

// Set changes a setting; an empty mode is the default.
func (s Stage) Set(name, mode string) error {
	if err := os.MkdirAll(s.settings(), 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.settings(), name), []byte(mode), 0o600)
}

// Orphan starts a QEMU of vm that has no hostagent, and returns when it lives.
func (s Stage) Orphan(vm layout.VM) (*exec.Cmd, error) {
	if err := errors.Join(os.MkdirAll(vm.Run(), 0o700), os.MkdirAll(vm.Dir(), 0o700)); err != nil {
		return nil, err
	}
	cmd := exec.Command(s.Program(), "qemu", "--lima-home", vm.Home, vm.Name)
	ready, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		_, err = ready.Read(make([]byte, 1))
	}
	return cmd, err
}

// Unset takes a setting away.
func (s Stage) Unset(name string) error { return os.RemoveAll(filepath.Join(s.settings(), name)) }

// Counted is how often something happened: a command ran, "agents" (a hostagent began), "interrupted",
// or "second-qemu" (a QEMU found another one of its VM).
func (s Stage) Counted(what string) int {
	b, _ := os.ReadFile(s.counter(what))
	return len(b)
}

func (s Stage) counter(what string) string { return filepath.Join(s.settings(), what+".count") }

// count notes that something happened.
func (s Stage) count(what string) {
	f, err := os.OpenFile(s.counter(what), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, _ = f.WriteString("x")
		_ = f.Close()
	}
}

// mode is the setting for a VM.
func (s Stage) mode(name, vm string) string {
	b, err := os.ReadFile(filepath.Join(s.settings(), name+"."+vm))
	if err != nil {
		b, _ = os.ReadFile(filepath.Join(s.settings(), name))
	}
	return string(b)
}

// has reports whether the setting is there for a VM.
func (s Stage) has(name, vm string) bool {
	for _, file := range []string{name + "." + vm, name} {
		if _, err := os.Stat(filepath.Join(s.settings(), file)); err == nil {
			return true
		}
	}
	return false
}
