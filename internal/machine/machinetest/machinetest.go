// Package machinetest is a fake of rdd-lima and of its QEMU for tests: with processes, kernel locks, events and files like those
// of real VMs, and a boot that takes milliseconds. A test binary is that fake when its TestMain calls Main. `go test -c` of
// this package builds a program of it.
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

// program is the name under which a test binary is the fake rdd-lima.
const program = "rdd-lima"

// Main runs the fake rdd-lima, and does not return, when this process was started under that name. Otherwise it does nothing.
func Main() {
	if isFake() {
		if err := proc.EndWithParent(os.Getenv(proc.EnvTether)); err != nil {
			os.Exit(printError(err))
		}
		p := &run{fake: Fake{filepath.Dir(os.Args[0])}}
		os.Exit(p.main(os.Args[1:]))
	}
}

// isFake reports whether this process was started as the fake rdd-lima.
func isFake() bool { return strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") == program }

// Fake is a directory with the fake rdd-lima and its settings. Each setting is a file, which a test may change at any time. The
// processes of a Fake end when its directory is removed.
//
//	validate, template, prepare, hostagent, clear, remove, probe, ssh:
//	          what that command does: die, garbage, fail, permanent, hang (until interrupted), deaf (to interrupts), or
//	          take a time such as 50ms
//	remove    also marked: it fails after it has marked the VM as one to be removed
//	validate  also late: each call but the first one, which admits the VM, waits for the setting validated
//	hostagent also late: it waits for the setting begun before it does anything; dying: with the setting dies, /proc no
//	          longer shows its files; it ends with the setting begun (Linux)
//	boot      crash, refuse, late (it waits for the setting booted), degraded, or a time
//	stop      slow (it waits for the setting stopped), deaf, or the time in which a guest powers off
//	qemu      orphan: it outlives its hostagent; deaf: it also ignores everything but SIGKILL
//	engine    none: the container engine of the App's VM doesn't answer
//	containers  the containers of that engine, one a line: its name, image and state. Actions of clients change it
//	poweroff  every guest powers itself off
//
// A setting NAME.VM applies to one VM.
type Fake struct{ Dir string }

// New puts the fake rdd-lima into dir. It is this test binary, whose TestMain must call Main.
func New(dir string) (Fake, error) {
	s := Fake{dir}
	self, err := os.Executable()
	if err != nil {
		return s, err
	}
	if err := os.MkdirAll(s.settings(), 0o700); err != nil {
		return s, err
	}
	return s, os.Symlink(self, s.Program())
}

// Program returns the path of the fake rdd-lima.
func (s Fake) Program() string { return filepath.Join(s.Dir, program) }

// settings is the directory of the settings and the counters.
func (s Fake) settings() string { return filepath.Join(s.Dir, "fake") }

// Set changes a setting. An empty mode is the default.
func (s Fake) Set(name, mode string) error {
	if err := os.MkdirAll(s.settings(), 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.settings(), name), []byte(mode), 0o600)
}

// Orphan starts a QEMU of vm without a hostagent, and returns when it runs.
func (s Fake) Orphan(vm layout.VM) (*exec.Cmd, error) {
	if err := errors.Join(os.MkdirAll(vm.Run(), 0o700), os.MkdirAll(vm.Dir(), 0o700)); err != nil {
		return nil, err
	}
	return s.startQEMU(vm, false)
}

// startQEMU starts a QEMU of vm and returns when it runs.
func (s Fake) startQEMU(vm layout.VM, withParent bool) (*exec.Cmd, error) {
	cmd := exec.Command(s.Program(), "qemu", "--lima-home", vm.Home, vm.Name)
	cmd.Stderr = os.Stderr
	if withParent {
		endWithParent(cmd)
	}
	ready, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		_, err = ready.Read(make([]byte, 1))
	}
	return cmd, err
}

// Unset removes a setting.
func (s Fake) Unset(name string) error { return os.RemoveAll(filepath.Join(s.settings(), name)) }

// Counted returns how often something has happened: a command, "agents" (a hostagent has started), "interrupted", or
// "second-qemu" (a QEMU has found another one of its VM).
func (s Fake) Counted(what string) int {
	b, _ := os.ReadFile(s.counter(what))
	return len(b)
}

func (s Fake) counter(what string) string { return filepath.Join(s.settings(), what+".count") }

// count counts that something has happened.
func (s Fake) count(what string) {
	f, err := os.OpenFile(s.counter(what), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, _ = f.WriteString("x")
		_ = f.Close()
	}
}

// mode returns the setting for a VM.
func (s Fake) mode(name, vm string) string {
	mode, _ := s.setting(name, vm)
	return mode
}

// has reports whether the setting exists for a VM.
func (s Fake) has(name, vm string) bool {
	_, err := s.setting(name, vm)
	return err == nil
}

func (s Fake) setting(name, vm string) (string, error) {
	b, err := os.ReadFile(filepath.Join(s.settings(), name+"."+vm))
	if err != nil {
		b, err = os.ReadFile(filepath.Join(s.settings(), name))
	}
	return string(b), err
}
