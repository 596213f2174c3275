//go:build linux

package lima

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

const limit = 20 * time.Second

// awaitLock waits until the lock is held, or free.
func awaitLock(t *testing.T, path string, want bool) {
	t.Helper()
	for late := time.Now().Add(limit); ; {
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

// hostagentWithQEMU starts a process that starts, through RunQEMU, a program that stays.
func hostagentWithQEMU(t *testing.T, vm layout.VM, program ...string) *exec.Cmd {
	if err := os.MkdirAll(vm.Run(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(vm.Dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], program...)
	cmd.Env = append(os.Environ(), "PLAY=hostagent", "LOCK="+vm.QEMULock())
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
	needs(t, "sleep")
	sleep, _ := exec.LookPath("sleep")
	vm := newVM(t)
	cmd := hostagentWithQEMU(t, vm, sleep, "1000")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	awaitLock(t, vm.QEMULock(), false)
}

func TestSecondQEMUIsRefused(t *testing.T) {
	needs(t, "sleep")
	sleep, _ := exec.LookPath("sleep")
	vm := newVM(t)
	hostagentWithQEMU(t, vm, sleep, "1000")
	second := exec.Command(os.Args[0], sleep, "1000")
	second.Env = append(os.Environ(), "PLAY=qemu", "LOCK="+vm.QEMULock(), fmt.Sprint("PARENT=", os.Getpid()))
	if out, err := second.CombinedOutput(); err == nil || !strings.Contains(string(out), "another QEMU") {
		t.Fatal(err, string(out))
	}
}

func TestQEMUThatIgnoresEverythingIsKilled(t *testing.T) {
	needs(t, "sh")
	sh, _ := exec.LookPath("sh")
	vm := newVM(t)
	pid := filepath.Join(vm.Dir(), "qemu.pid")
	cmd := hostagentWithQEMU(t, vm, sh, "-c", "trap '' TERM; echo $$ > "+pid+".new; mv "+pid+".new "+pid+"; while :; do sleep 0.05; done")
	for late := time.Now().Add(limit); !layout.Exists(pid) && time.Now().Before(late); {
		runtime.Gosched()
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	var said []string
	quick := orphanTimeouts{selfExit: time.Millisecond, powerOff: time.Millisecond, quit: limit}
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
	needs(t, "qemu-system-x86_64")
	qemu, _ := exec.LookPath("qemu-system-x86_64")
	vm := newVM(t)
	socket := filepath.Join(vm.Dir(), "qmp.sock")
	if err := os.MkdirAll(vm.Run(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(vm.Dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], qemu, "-machine", "q35,accel=tcg", "-S", "-nodefaults", "-display", "none", "-qmp", "unix:"+socket+",server=on,wait=off")
	cmd.Env = append(os.Environ(), "PLAY=qemu", "LOCK="+vm.QEMULock(), fmt.Sprint("PARENT=", os.Getpid()))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	awaitLock(t, vm.QEMULock(), true)
	for late := time.Now().Add(limit); qmpExecute(socket, "query-status") != nil; {
		if time.Now().After(late) {
			t.Fatal("QEMU does not answer")
		}
	}
	quick := orphanTimeouts{selfExit: time.Millisecond, powerOff: 50 * time.Millisecond, quit: limit}
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

// A guest that boots accepts connections, through QEMU, that nobody answers.
func TestDialWaitsUntilTheGuestAnswers(t *testing.T) {
	vm := newVM(t)
	agentLives(t, vm)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			switch n {
			case 0: // refused
				_ = c.Close()
			case 1: // swallowed
				defer c.Close()
			case 2: // penalised, by OpenSSH
				fmt.Fprint(c, "Not allowed at this time\r\n")
				_ = c.Close()
			default:
				fmt.Fprint(c, "SSH-2.0-test\r\n")
			}
		}
	}()
	ours, theirs := sshSocket(t)
	defer func() { _ = unix.Close(ours) }()
	if err := Dial(t.Context(), l.Addr().String(), vm.HostagentLock(), theirs); err != nil {
		t.Fatal(err)
	}
	oob := make([]byte, 64)
	_, n, _, _, err := unix.Recvmsg(ours, make([]byte, 1), oob, 0)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		t.Fatal(err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[0]), "conn")
	defer f.Close()
	if line, err := bufio.NewReader(f).ReadString('\n'); err != nil || line != "SSH-2.0-test\r\n" {
		t.Fatal(line, err)
	}
}

func TestDialEndsWithItsHostagent(t *testing.T) {
	vm := newVM(t)
	if err := os.MkdirAll(vm.Run(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vm.HostagentLock(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	ours, theirs := sshSocket(t)
	defer func() { _ = unix.Close(ours) }()
	if err := Dial(ctx, "127.0.0.1:1", vm.HostagentLock(), theirs); err == nil || !strings.Contains(err.Error(), "hostagent is gone") {
		t.Fatal(err)
	}
}

// Each of those that were left took a connection a second from a guest that could not answer one.
func TestDialEndsWithItsSSH(t *testing.T) {
	vm := newVM(t)
	agentLives(t, vm)
	ours, theirs := sshSocket(t)
	ended := make(chan error, 1)
	go func() { ended <- Dial(t.Context(), "127.0.0.1:1", vm.HostagentLock(), theirs) }()
	_ = unix.Close(ours)
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "ssh has ended") {
			t.Fatal(err)
		}
	case <-time.After(limit):
		t.Fatal("it goes on")
	}
}

// agentLives holds the lock of a VM's hostagent.
func agentLives(t *testing.T, vm layout.VM) {
	t.Helper()
	if err := os.MkdirAll(vm.Run(), 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := proc.Acquire(vm.HostagentLock())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lock.Release() })
}

// sshSocket is a socket that ssh has one end of, and its ProxyCommand the other.
func sshSocket(t *testing.T) (ours int, theirs *os.File) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs = os.NewFile(uintptr(pair[1]), "ssh")
	t.Cleanup(func() { _ = theirs.Close() })
	return pair[0], theirs
}

func TestLimaEventsAreTranslated(t *testing.T) {
	var out strings.Builder
	tr := &limaEvents{hostagent: &hostagent{w: event.NewWriter(&out)}}
	text := `{"time":"2026-01-01T00:00:00Z","status":{"sshLocalPort":4711}}` + "\n" +
		`{"status":{"running":true,"degraded":true,"errors":["no mounts"],"sshLocalPort":4711}}` + "\n" + `{"status":{"exiting":true}}` + "\n"
	for _, piece := range []string{text[:30], text[30:100], text[100:]} {
		if n, err := tr.Write([]byte(piece)); err != nil || n != len(piece) {
			t.Fatal(n, err)
		}
	}
	var got []event.Event
	_ = event.Read(strings.NewReader(out.String()), func(e event.Event) { got = append(got, e) }, func(line string) { t.Error(line) })
	if len(got) != 2 || got[0].SSHPort != 4711 || !got[1].Running || got[1].Degraded[0] != "no mounts" {
		b, _ := json.Marshal(got)
		t.Fatalf("%s", b)
	}
}

func TestHostagentRefusesASecondOne(t *testing.T) {
	vm := newVM(t)
	agentLives(t, vm)
	done := make(chan error, 1)
	go func() { done <- Hostagent(t.Context(), HostagentOptions{VM: vm}) }() // it ties its goroutine to a thread
	if err := <-done; err == nil || !strings.Contains(err.Error(), ErrRunning.Error()) {
		t.Fatal(err)
	}
	if layout.Exists(vm.Events()) {
		t.Error("the living hostagent's events were touched")
	}
}

func TestSignalsOfOtherProcessesAreNotSent(t *testing.T) {
	needs(t, "sleep")
	vm := newVM(t)
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

// another starts a process that has nothing to do with any VM.
func another(t *testing.T) *exec.Cmd {
	t.Helper()
	needs(t, "sleep")
	other := exec.Command("sleep", "1000")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	})
	return other
}

func TestVMStartsThoughItsOldPIDIsAnotherProcessNow(t *testing.T) {
	programs(t)
	vm := newVM(t)
	other := another(t)
	template := fmt.Sprintf("images: [{location: %s}]\ndisk: 32MiB\n", writeImage(t))
	if _, err := prepareVM(t.Context(), vm, template); err != nil {
		t.Fatal(err)
	}
	stale := []string{filepath.Join(vm.Dir(), "qemu.pid"), filepath.Join(vm.Dir(), "ha.pid"), filepath.Join(vm.Dir(), "ha.sock")}
	for _, path := range stale {
		if err := os.WriteFile(path, fmt.Append(nil, other.Process.Pid), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := prepareVM(t.Context(), vm, template); err != nil {
		t.Fatal("the process that has a number which was QEMU's keeps the VM from starting:", err)
	}
	if layout.Exists(stale[0]) || layout.Exists(stale[1]) {
		t.Error("the stale PID files are still there")
	}
	a := &hostagent{vm: vm, w: event.NewWriter(io.Discard)}
	if err := os.WriteFile(stale[1], fmt.Append(nil, other.Process.Pid), 0o600); err != nil {
		t.Fatal(err)
	}
	if inst, err := a.inspect(t.Context()); err != nil || len(inst.Errors) > 0 {
		t.Error("its hostagent:", err, inst)
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Error("somebody else's process was killed")
	}
}

// A QEMU holds its lock before it writes its PID file, so for an instant the file is an earlier one's.
func TestForcedStopWithAnEarlierPIDFileKillsTheRightQEMU(t *testing.T) {
	needs(t, "sleep")
	sleep, _ := exec.LookPath("sleep")
	other := another(t)
	for name, text := range map[string]string{"another's": fmt.Sprint(other.Process.Pid), "none": "", "damaged": "\x00\x00"} {
		t.Run(name, func(t *testing.T) {
			vm := newVM(t)
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
			cmd.Env = append(os.Environ(), "PLAY=probe")
			cmd.Stderr = os.Stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			pid := filepath.Join(home, "pid")
			for late := time.Now().Add(limit); !layout.Exists(pid); time.Sleep(time.Millisecond) {
				if time.Now().After(late) {
					t.Fatal("the guest does not start")
				}
			}
			text, err := os.ReadFile(pid)
			if err != nil {
				t.Fatal(err)
			}
			guest := strings.TrimSpace(string(text))
			if err := errors.Join(os.Remove(pid), end(cmd)); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			for late := time.Now().Add(limit); running(guest); time.Sleep(time.Millisecond) {
				if time.Now().After(late) {
					t.Fatal("the guest runs on")
				}
			}
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
