//go:build unix

package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"

	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// TestMain runs rdd-lima if a test has started the test binary as such.
func TestMain(m *testing.M) {
	if os.Getenv("TEST_PROGRAM") == "rdd-lima" {
		os.Exit(run())
	}
	os.Exit(m.Run())
}

// runningVM returns a VM whose hostagent seems to run and whose guest's SSH server is at address. ssh is a script that
// prints its arguments, one per line.
func runningVM(t *testing.T, address string) layout.VM {
	dir := t.TempDir()
	vm := layout.VM{Home: filepath.Join(dir, "lima"), Name: "rd"}
	for _, d := range []string{vm.Run(), vm.Dir(), filepath.Join(dir, "bin")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	lock, err := proc.Acquire(vm.HostagentLock())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lock.Release() })
	host, port, _ := net.SplitHostPort(address)
	write(t, filepath.Join(vm.Dir(), "ssh.config"), "Host lima-rd\n  Hostname "+host+"\n  Port "+port+"\n", 0o600)
	write(t, filepath.Join(dir, "bin", "ssh"), "#!/bin/sh\nprintf '%s\\n' \"$@\"\n", 0o700)
	t.Setenv("PATH", filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
	t.Setenv("TEST_PROGRAM", "rdd-lima")
	return vm
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func sshOf(vm layout.VM, flags ...string) *exec.Cmd {
	args := append([]string{"ssh", "--lima-home", vm.Home}, flags...)
	return exec.Command(os.Args[0], append(args, vm.Name, "--", "cat", "a file")...)
}

// terminal returns both ends of a pseudoterminal.
func terminal(t *testing.T) (ours, theirs *os.File) {
	ours, theirs, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	return ours, theirs
}

func TestOutputThatGoesToAFileIsNotChangedByATerminal(t *testing.T) {
	vm := runningVM(t, "127.0.0.1:1")
	_, theirs := terminal(t)
	for _, tc := range []struct {
		name    string
		in, out *os.File
		want    string
	}{
		{"stdin alone is a terminal", theirs, nil, "-T"},
		{"stdout alone is a terminal", nil, theirs, "-T"},
		{"neither is", nil, nil, "-T"},
		{"both are", theirs, theirs, "-t"},
	} {
		// This ssh prints its arguments to stderr, because the test sets stdout.
		cmd := sshOf(vm)
		var said bytes.Buffer
		cmd.Stderr = &said
		write(t, filepath.Join(vm.Home, "..", "bin", "ssh"), "#!/bin/sh\nprintf '%s\\n' \"$@\" >&2\n", 0o700)
		if tc.in != nil {
			cmd.Stdin = tc.in
		}
		if tc.out != nil {
			cmd.Stdout = tc.out
		}
		if err := cmd.Run(); err != nil {
			t.Fatal(err, said.String())
		}
		words := strings.Split(said.String(), "\n")
		got := "neither"
		for _, w := range words {
			if w == "-t" || w == "-T" {
				got = w
			}
		}
		if got != tc.want {
			t.Errorf("%s: ssh is given %s, want %s: %q", tc.name, got, tc.want, words)
		}
	}
}

func TestSSHPrintsItsOwnReasons(t *testing.T) {
	vm := runningVM(t, "127.0.0.1:1")
	out, err := sshOf(vm).CombinedOutput()
	if err != nil {
		t.Fatal(err, string(out))
	}
	if words := strings.Split(string(out), "\n"); strings.Contains(string(out), "\n-q\n") || !strings.Contains(string(out), "LogLevel=ERROR") {
		t.Errorf("%q", words)
	}
}

func TestHangingGuestIsNotWaitedForForever(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	vm := runningVM(t, l.Addr().String()) // accepts connections, but sends nothing
	out, err := sshOf(vm, "--patience", "100ms").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "has not answered within 100ms") || !strings.Contains(string(out), "--source serial") {
		t.Fatal(err, string(out))
	}
}

func TestShellWaitsForABootingGuest(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, _ = io.WriteString(c, "SSH-2.0-test\r\n")
		}
	}()
	vm := runningVM(t, l.Addr().String())
	out, err := sshOf(vm, "--patience", "20s").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "'cat' 'a file'") {
		t.Fatal(err, string(out))
	}
}
