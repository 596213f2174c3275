// Package datastoretest starts real database servers for tests: Debian's PostgreSQL
// and etcd, on loopback, in folders of their own, ended with the test. A test is
// skipped when the package isn't installed, unless RDD_TEST_REQUIRE is set.
package datastoretest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rancherdesktop.io/rdd/internal/testenv"
)

const (
	startTimeout = 60 * time.Second
	startTries   = 3 // a port that was free may be taken by the time the server opens it
)

// Password is the secret in the URL of every PostgreSQL server started here.
const Password = "s3cret-of-the-test"

// Postgres starts a PostgreSQL server and returns its URL without a database.
func Postgres(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("runs PostgreSQL")
	}
	bin := postgresBin(t)
	dir := plainDir(t)
	as := unprivileged(t, dir)
	passwords := filepath.Join(dir, "password")
	if err := os.WriteFile(passwords, []byte(Password), 0o644); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	initdb := exec.CommandContext(t.Context(), filepath.Join(bin, "initdb"), "-D", data, "-U", "rdd",
		"--auth=scram-sha-256", "--pwfile="+passwords, "--no-sync", "--encoding=UTF8", "--locale=C")
	initdb.SysProcAttr, initdb.Dir = as, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	port := start(t, "ready to accept connections", func(port int) *exec.Cmd {
		c := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-h", "127.0.0.1", "-k", dir, "-p", fmt.Sprint(port), "-F")
		c.SysProcAttr, c.Dir = as, dir
		return c
	})
	return fmt.Sprintf("postgres://rdd:%s@127.0.0.1:%d", Password, port)
}

// Etcd starts an etcd server and returns its URL.
func Etcd(t testing.TB) string {
	if testing.Short() {
		t.Skip("runs etcd")
	}
	t.Helper()
	bin, err := exec.LookPath("etcd")
	if err != nil {
		missing(t, "etcd-server")
	}
	dir := t.TempDir()
	peer := freePort(t)
	port := start(t, "ready to serve client requests", func(port int) *exec.Cmd {
		client := fmt.Sprintf("http://127.0.0.1:%d", port)
		return exec.Command(bin, "--data-dir", filepath.Join(dir, fmt.Sprint(port)), "--unsafe-no-fsync",
			"--listen-client-urls", client, "--advertise-client-urls", client,
			"--listen-peer-urls", fmt.Sprintf("http://127.0.0.1:%d", peer))
	})
	return fmt.Sprintf("http://127.0.0.1:%d", port)
}

func postgresBin(t testing.TB) string {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		missing(t, "postgresql")
	}
	return filepath.Dir(found[len(found)-1])
}

func missing(t testing.TB, pkg string) {
	t.Helper()
	testenv.Missing(t, "the Debian package %s is not installed", pkg)
}

// plainDir is a folder whose parents others may enter: a server that refuses to run
// as root needs to.
func plainDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "rdd-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// start runs a server on a free port, returns when it has printed ready, and ends it
// with the test.
func start(t testing.TB, ready string, command func(port int) *exec.Cmd) int {
	t.Helper()
	var said string
	for range startTries {
		port := freePort(t)
		cmd := command(port)
		output, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stop := func() {
			_ = cmd.Process.Signal(os.Interrupt) // fails only when it has ended
			_ = cmd.Wait()
		}
		up, out := awaitLine(output, ready)
		if up {
			t.Cleanup(stop)
			return port
		}
		stop()
		said = out
	}
	t.Fatalf("the server did not start:\n%s", said)
	return 0
}

// awaitLine reads until a line holds text, and keeps reading for the server's sake.
func awaitLine(r io.Reader, text string) (found bool, said string) {
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			select {
			case lines <- s.Text():
			default: // nobody reads any more
			}
		}
	}()
	limit, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	var all strings.Builder
	for {
		select {
		case line, open := <-lines:
			if !open {
				return false, all.String()
			}
			fmt.Fprintln(&all, line)
			if strings.Contains(line, text) {
				return true, all.String()
			}
		case <-limit.Done():
			return false, all.String()
		}
	}
}

// freePort finds a port that nobody has now. Only for servers that can't be told to
// choose one themselves.
func freePort(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
