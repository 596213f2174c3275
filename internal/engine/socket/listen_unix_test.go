//go:build unix

package socket

import (
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"rancherdesktop.io/rdd/internal/engine"
	"rancherdesktop.io/rdd/internal/testenv"
)

// pair returns the two ends of a connection.
func pair(t *testing.T) (here, there *net.UnixConn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "pair.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = conn.Close(), client.Close() })
	return conn.(*net.UnixConn), client.(*net.UnixConn)
}

// answers reports whether a server on the stopped engine's socket answers.
func answers(path string) bool {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return false
	}
	defer conn.Close()
	text, err := ask(conn.(*net.UnixConn), "GET / HTTP/1.1\r\nHost: docker\r\n\r\n")
	return err == nil && strings.Contains(text, "rdd start")
}

func TestOnlyTheUserMayConnect(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	s := serve(t, &engine.Link{})
	info, err := os.Lstat(s.Path)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if all, err := os.ReadDir(filepath.Dir(s.Path)); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestSocketOfAKilledServiceIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "docker.sock")
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false)
	_ = old.Close()
	// It was also killed before it had moved a new one into place.
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), ".docker.sock.new"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, &Server{Path: path, Link: &engine.Link{}, Log: slog.New(slog.DiscardHandler)})
	testenv.Eventually(t, "it answers", func() bool { return answers(path) })
}

func TestSocketInUseIsReportedAndTakenWhenItIsFree(t *testing.T) {
	path := filepath.Join(t.TempDir(), "docker.sock")
	other, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	changed := make(chan struct{}, 10)
	s := &Server{Path: path, Link: &engine.Link{}, Log: slog.New(slog.DiscardHandler), Changed: func() { changed <- struct{}{} }}
	start(t, s)
	<-changed
	if problem := s.Problem(); !strings.Contains(problem, path) || !strings.Contains(problem, "another program") {
		t.Errorf("%q", problem)
	}
	if who := fmt.Sprintf("process %d", os.Getpid()); runtime.GOOS == "linux" && !strings.Contains(s.Problem(), who) {
		t.Errorf("%q does not name the %s", s.Problem(), who)
	}
	if conn, err := net.Dial("unix", path); err != nil {
		t.Errorf("the other program's socket was damaged: %v", err)
	} else {
		conn.Close()
	}
	_ = other.Close()
	<-changed
	if problem := s.Problem(); problem != "" || !answers(path) {
		t.Errorf("%q", problem)
	}
}

func TestFileInTheWayIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "docker.sock")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Server{Path: path, Link: &engine.Link{}, Log: slog.New(slog.DiscardHandler)}
	start(t, s)
	testenv.Eventually(t, "it is reported", func() bool { return strings.Contains(s.Problem(), "not a socket") })
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestRemovedSocketComesBack(t *testing.T) {
	s := serve(t, &engine.Link{})
	if err := os.Remove(s.Path); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "it answers again", func() bool { return answers(s.Path) })
	// Another program puts its own in the place, and later ends.
	if err := os.Remove(s.Path); err != nil {
		t.Fatal(err)
	}
	var other *net.UnixListener
	testenv.Eventually(t, "another program has the path", func() (ok bool) {
		_ = os.Remove(s.Path)
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.Path})
		other = l
		return err == nil
	})
	testenv.Eventually(t, "it is reported", func() bool { return strings.Contains(s.Problem(), "another program") })
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "it answers again", func() bool { return answers(s.Path) })
}
