package ssh

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/lima/limatest"
	"rancherdesktop.io/rdd/internal/testenv"

	"golang.org/x/sys/unix"
)

// A guest that boots accepts connections, through QEMU, that nobody answers.
func TestDialWaitsUntilTheGuestAnswers(t *testing.T) {
	vm := limatest.NewVM(t)
	limatest.HoldHostagentLock(t, vm)
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
	vm := limatest.NewVM(t)
	if err := os.MkdirAll(vm.Run(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vm.HostagentLock(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Timeout)
	defer cancel()
	ours, theirs := sshSocket(t)
	defer func() { _ = unix.Close(ours) }()
	if err := Dial(ctx, "127.0.0.1:1", vm.HostagentLock(), theirs); err == nil || !strings.Contains(err.Error(), "hostagent is gone") {
		t.Fatal(err)
	}
}

// Each of those that were left took a connection a second from a guest that could not answer one.
func TestDialEndsWithItsSSH(t *testing.T) {
	vm := limatest.NewVM(t)
	limatest.HoldHostagentLock(t, vm)
	ours, theirs := sshSocket(t)
	ended := make(chan error, 1)
	go func() { ended <- Dial(t.Context(), "127.0.0.1:1", vm.HostagentLock(), theirs) }()
	_ = unix.Close(ours)
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "ssh has ended") {
			t.Fatal(err)
		}
	case <-time.After(testenv.Timeout):
		t.Fatal("it goes on")
	}
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
