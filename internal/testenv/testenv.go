// Package testenv has helpers for the tests of many packages: for missing requirements, for the built programs, and for
// waiting.
package testenv

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Timeout is how long a test waits for anything. It is long because a loaded machine is slow, and only a failing test
// waits for so long.
const Timeout = 3 * time.Minute

const pollInterval = 5 * time.Millisecond

// Required reports whether a missing requirement is a failure: RDD_TEST_REQUIRE is set, as in `make test`.
func Required() bool { return os.Getenv("RDD_TEST_REQUIRE") != "" }

// Missing skips the test because a requirement is missing, or fails it if Required.
func Missing(tb testing.TB, format string, a ...any) {
	tb.Helper()
	if Required() {
		tb.Fatalf(format, a...)
	}
	tb.Skipf(format, a...)
}

// Program returns the path of a program, and calls Missing if there is none. debian is the package that has it.
func Program(tb testing.TB, name, debian string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(tb, "there is no %s; install the package %s", name, debian)
	}
	return path
}

// Unpacked returns the path of a file of a Debian package, which it downloads and unpacks into the user's cache: an installed
// one would replace another version, or start a service.
func Unpacked(name, file string) (string, error) {
	caches, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(caches, "rdd-test", name)
	path := filepath.Join(dir, filepath.FromSlash(file))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		return "", err
	}
	temporary, err := os.MkdirTemp(filepath.Dir(dir), name)
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(temporary) }()
	get := exec.Command("sh", "-c", "apt-get download "+name+" && dpkg -x "+name+"_*.deb .")
	get.Dir = temporary
	if out, err := get.CombinedOutput(); err != nil {
		return "", fmt.Errorf("get Debian's package %s: %w\n%s", name, err, out)
	}
	if err := os.Rename(temporary, dir); err != nil && !errors.Is(err, fs.ErrExist) { // another test was faster
		return "", err
	}
	_, err = os.Stat(path)
	return path, err
}

// Built returns the absolute path of a file in dist, such as libexec/rdd/rddd. It calls Missing if there is none; target
// is the command that makes it. With -short it skips the test, because tests that run programs are slow.
func Built(tb testing.TB, file, target string) string {
	tb.Helper()
	if testing.Short() {
		tb.Skip("needs " + file)
	}
	path := filepath.Join(Root(tb), "dist", filepath.FromSlash(file))
	if _, err := os.Stat(path); err != nil {
		Missing(tb, "there is no %s; make it with: %s", path, target)
	}
	return path
}

// Root returns the absolute path of the module's root.
func Root(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if filepath.Dir(dir) == dir {
			tb.Fatal("the test does not run in a checkout")
		}
		dir = filepath.Dir(dir)
	}
}

// Within waits until ok returns true, and returns false if it does not within Timeout.
func Within(ok func() bool) bool {
	for late := time.Now().Add(Timeout); !ok(); time.Sleep(pollInterval) {
		if time.Now().After(late) {
			return false
		}
	}
	return true
}

// Eventually waits until ok returns true, and fails the test if it does not within Timeout.
func Eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	if !Within(ok) {
		tb.Fatalf("not within %s: %s", Timeout, what)
	}
}
