package qemu

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/lima/limatest"
	"rancherdesktop.io/rdd/internal/testenv"

	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// awaitLock waits until the lock is held, or free.
func awaitLock(t *testing.T, path string, want bool) {
	t.Helper()
	for late := time.Now().Add(testenv.Timeout); ; {
		held, err := proc.Held(path)
		if err != nil {
			t.Fatal(err)
		}
		if held == want {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("%s is held: %v", path, held)
		}
	}
}

// hostagentWithQEMU starts a process that starts, through Exec, a program that stays.
func hostagentWithQEMU(t *testing.T, vm layout.VM, program ...string) *exec.Cmd {
	if err := os.MkdirAll(vm.Run(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(vm.Dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], program...)
	cmd.Env = append(os.Environ(), "TEST_PROGRAM=hostagent", "LOCK="+vm.QEMULock())
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	awaitLock(t, vm.QEMULock(), true)
	return cmd
}

func TestKilledHostagentLeavesNoQEMU(t *testing.T) {
	limatest.Needs(t, "sleep")
	sleep, _ := exec.LookPath("sleep")
	vm := limatest.NewVM(t)
	cmd := hostagentWithQEMU(t, vm, sleep, "1000")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	awaitLock(t, vm.QEMULock(), false)
}

func TestSecondQEMUIsRefused(t *testing.T) {
	limatest.Needs(t, "sleep")
	sleep, _ := exec.LookPath("sleep")
	vm := limatest.NewVM(t)
	hostagentWithQEMU(t, vm, sleep, "1000")
	second := exec.Command(os.Args[0], sleep, "1000")
	second.Env = append(os.Environ(), "TEST_PROGRAM=qemu", "LOCK="+vm.QEMULock(), fmt.Sprint("PARENT=", os.Getpid()))
	if out, err := second.CombinedOutput(); err == nil || !strings.Contains(string(out), "another QEMU") {
		t.Fatal(err, string(out))
	}
}

func TestQEMUThatIgnoresEverythingIsKilled(t *testing.T) {
	limatest.Needs(t, "sh")
	sh, _ := exec.LookPath("sh")
	vm := limatest.NewVM(t)
	pid := filepath.Join(vm.Dir(), "qemu.pid")
	cmd := hostagentWithQEMU(t, vm, sh, "-c", "trap '' TERM; echo $$ > "+pid+".new; mv "+pid+".new "+pid+"; while :; do sleep 0.05; done")
	for late := time.Now().Add(testenv.Timeout); !layout.Exists(pid) && time.Now().Before(late); {
		runtime.Gosched()
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	var said []string
	quick := orphanTimeouts{selfExit: time.Millisecond, powerOff: time.Millisecond, quit: testenv.Timeout}
	found, err := quick.end(t.Context(), vm, func(m string) { said = append(said, m) })
	if err != nil || !found || !strings.Contains(strings.Join(said, " "), "killing it") {
		t.Fatal(found, err, said)
	}
	if layout.Exists(pid) {
		t.Error("its PID file is still there")
	}
}

// A real QEMU without a guest can't power off, but quits when told to.
func TestRealQEMUWithoutHostagentQuits(t *testing.T) {
	limatest.Needs(t, "qemu-system-x86_64")
	qemu, _ := exec.LookPath("qemu-system-x86_64")
	vm := limatest.NewVM(t)
	socket := filepath.Join(vm.Dir(), "qmp.sock")
	if err := os.MkdirAll(vm.Run(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(vm.Dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], qemu, "-machine", "q35,accel=tcg", "-S", "-nodefaults", "-display", "none", "-qmp", "unix:"+socket+",server=on,wait=off")
	cmd.Env = append(os.Environ(), "TEST_PROGRAM=qemu", "LOCK="+vm.QEMULock(), fmt.Sprint("PARENT=", os.Getpid()))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	awaitLock(t, vm.QEMULock(), true)
	for late := time.Now().Add(testenv.Timeout); qmpExecute(socket, "query-status") != nil; {
		if time.Now().After(late) {
			t.Fatal("QEMU does not answer")
		}
	}
	quick := orphanTimeouts{selfExit: time.Millisecond, powerOff: 50 * time.Millisecond, quit: testenv.Timeout}
	var said []string
	if found, err := quick.end(t.Context(), vm, func(m string) { said = append(said, m) }); err != nil || !found || len(said) != 2 {
		t.Fatal(found, err, said)
	}
	if layout.Exists(socket) {
		t.Error("its socket is still there")
	}
}

func TestRefusedQMPCommand(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		fmt.Fprintln(c, `{"QMP":{}}`)
		for s := bufio.NewScanner(c); s.Scan(); {
			if strings.Contains(s.Text(), "capabilities") {
				fmt.Fprintln(c, `{"event":"RESUME"}`+"\n"+`{"return":{}}`)
			} else {
				fmt.Fprintln(c, `{"error":{"class":"GenericError","desc":"not now"}}`)
			}
		}
	}()
	if err := qmpExecute(socket, "system_powerdown"); err == nil || !strings.Contains(err.Error(), "not now") {
		t.Fatal(err)
	}
}

func TestSignalsOfOtherProcessesAreNotSent(t *testing.T) {
	limatest.Needs(t, "sleep")
	vm := limatest.NewVM(t)
	other := exec.Command("sleep", "1000")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	}()
	if err := os.MkdirAll(vm.Dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(vm.Dir(), "qemu.pid"), fmt.Append(nil, other.Process.Pid), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := killQEMU(vm); err == nil {
		t.Error("a stale PID file was believed")
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Error("somebody else's process was killed")
	}
}

// A QEMU holds its lock before it writes its PID file, so for an instant the file is an earlier one's.
func TestForcedStopWithAnEarlierPIDFileKillsTheRightQEMU(t *testing.T) {
	limatest.Needs(t, "sleep")
	sleep, _ := exec.LookPath("sleep")
	other := limatest.OtherProcess(t)
	for name, text := range map[string]string{"another's": fmt.Sprint(other.Process.Pid), "none": "", "damaged": "\x00\x00"} {
		t.Run(name, func(t *testing.T) {
			vm := limatest.NewVM(t)
			hostagentWithQEMU(t, vm, sleep, "1000")
			if text != "" {
				if err := os.WriteFile(filepath.Join(vm.Dir(), "qemu.pid"), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := KillOrphan(t.Context(), vm); err != nil {
				t.Error(err)
			}
			if held, err := proc.Held(vm.QEMULock()); held || err != nil {
				t.Error("QEMU lives", err)
			}
		})
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Error("somebody else's process was killed")
	}
}

// A test guest that was started by a probe ran on when the probe was killed, and its folder stayed.
func TestKilledProbeLeavesNoGuestAndNoFolder(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	home := t.TempDir()
	exe, _ := fakeQEMU(t, "echo $$ > '"+home+"/pid.new'; mv '"+home+"/pid.new' '"+home+"/pid'; exec sleep 1000")
	for name, end := range map[string]func(cmd *exec.Cmd) error{
		"killed":      func(cmd *exec.Cmd) error { return cmd.Process.Kill() },
		"interrupted": func(cmd *exec.Cmd) error { return cmd.Process.Signal(os.Interrupt) },
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], exe, filepath.Join(home, "cache"))
			cmd.Env = append(os.Environ(), "TEST_PROGRAM=probe")
			cmd.Stderr = os.Stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			pid := filepath.Join(home, "pid")
			testenv.Eventually(t, "the guest runs", func() bool { return layout.Exists(pid) })
			text, err := os.ReadFile(pid)
			if err != nil {
				t.Fatal(err)
			}
			guest := strings.TrimSpace(string(text))
			if err := errors.Join(os.Remove(pid), end(cmd)); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			testenv.Eventually(t, "the guest has ended", func() bool { return !running(guest) })
		})
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Error("left behind:", left, err)
	}
}

// running says whether the process lives; a dead one may not have been waited for.
func running(pid string) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}
