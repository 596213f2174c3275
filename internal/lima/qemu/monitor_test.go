//go:build linux

package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/lima/limatest"
	"rancherdesktop.io/rdd/internal/testenv"

	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// watched is a real QEMU without a guest, and its monitor.
type watched struct {
	*Monitor
	t      *testing.T
	vm     layout.VM
	qemu   *exec.Cmd
	health chan event.Health
	mute   atomic.Bool // the guest doesn't answer
}

// watchQEMU starts a QEMU and a monitor that asks often.
func watchQEMU(t *testing.T) *watched {
	limatest.Needs(t, "qemu-system-x86_64")
	w := &watched{t: t, vm: limatest.NewVM(t), health: make(chan event.Health, 10)}
	if err := os.MkdirAll(w.vm.Dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	// The second monitor is Lima's.
	args := append([]string{"-machine", "q35,accel=tcg", "-nodefaults", "-display", "none", "-qmp", "unix:" + w.vm.Dir() + "/qmp.sock,server=on,wait=off"}, MonitorFlags("x86_64", w.vm.MonitorSocket())...)
	w.qemu = exec.Command("qemu-system-x86_64", args...)
	w.qemu.Stderr = os.Stderr
	if err := w.qemu.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = w.qemu.Process.Kill()
		_ = w.qemu.Wait()
	})
	w.Monitor = &Monitor{
		socket: w.vm.MonitorSocket(), disk: w.vm.Dir(), done: make(chan struct{}),
		qemuInterval: 10 * time.Millisecond, guestInterval: 10 * time.Millisecond, answerTimeout: 3 * time.Second, maxMisses: 2,
		report: func(e event.Event) { w.health <- *e.Health },
		pingGuest: func(context.Context) error {
			if w.mute.Load() {
				return errors.New("not a word")
			}
			return nil
		},
	}
	go w.Run(t.Context())
	return w
}

// await waits for the next report.
func (w *watched) await(reason, says string) {
	w.t.Helper()
	select {
	case h := <-w.health:
		if h.Reason != reason || !strings.Contains(h.Message, says) {
			w.t.Fatalf("%+v", h)
		}
	case <-time.After(testenv.Timeout):
		w.t.Fatalf("%q was not reported", reason)
	}
}

// tell sends a command to QEMU, once it listens, over the other control socket.
func (w *watched) tell(command string) {
	w.t.Helper()
	for late := time.Now().Add(testenv.Timeout); ; {
		err := qmpExecute(w.vm.Dir()+"/qmp.sock", command)
		if err == nil {
			return
		}
		if time.Now().After(late) {
			w.t.Fatal(err)
		}
	}
}

// awaitEnd waits until the monitor has seen QEMU end.
func (w *watched) awaitEnd(how string) {
	w.t.Helper()
	select {
	case <-w.done:
	case <-time.After(testenv.Timeout):
		w.t.Fatal("the end was not seen")
	}
	if w.ended != how {
		w.t.Fatalf("ended by %q, want %q", w.ended, how)
	}
}

func TestSuspendedQEMUIsReportedAndRecovers(t *testing.T) {
	w := watchQEMU(t)
	w.tell("stop")
	w.await(event.Paused, "from outside") // it answers
	if err := w.qemu.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	w.await(event.Unresponsive, "QEMU has not answered")
	if err := w.qemu.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	w.await(event.Paused, "from outside")
	w.tell("cont")
	w.await("", "")
}

func TestGuestThatDoesNotAnswerIsReportedAndRecovers(t *testing.T) {
	w := watchQEMU(t)
	w.mute.Store(true)
	w.tell("query-status")
	w.booted.Store(true)
	w.await(event.Unresponsive, "not a word")
	w.mute.Store(false)
	w.await("", "")
}

func TestHowQEMUEnded(t *testing.T) {
	for how, end := range map[string]func(*watched){
		event.Killed:   func(w *watched) { _ = w.qemu.Process.Kill() },
		event.Rebooted: func(w *watched) { w.tell("system_reset") },
	} {
		t.Run(how, func(t *testing.T) {
			w := watchQEMU(t)
			w.tell("stop")
			w.await(event.Paused, "")
			end(w)
			w.awaitEnd(how)
		})
	}
	for reason, how := range map[string]string{"guest-shutdown": event.PoweredOff, "guest-reset": event.Rebooted, "host-signal": event.Killed} {
		m := &Monitor{}
		m.handleEvent(qmpReply{Event: "SHUTDOWN", Data: fmt.Appendf(nil, `{"guest":true,"reason":%q}`, reason)})
		if m.ended != how {
			t.Errorf("%s: %s", reason, m.ended)
		}
	}
	m := &Monitor{}
	m.handleEvent(qmpReply{Event: "GUEST_PANICKED"})
	m.handleEvent(qmpReply{Event: "SHUTDOWN", Data: []byte(`{"reason":"guest-reset"}`)})
	if m.ended != event.Panicked {
		t.Error("a panic is taken for a reboot")
	}
}
