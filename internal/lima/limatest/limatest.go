// Package limatest has what the tests of several packages below internal/lima need: a VM's place and an image.
package limatest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/lima-vm/lima/pkg/version"

	"rancherdesktop.io/rdd/internal/diag"
	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
	"rancherdesktop.io/rdd/internal/testenv"
)

// Template is the shortest template that is accepted. Its image is not there.
const Template = "images: [{location: /no/such.img}]\n"

// MiB is a mebibyte.
const MiB = 1 << 20

// IsProblem fails the test unless an event would say that err is the known problem.
func IsProblem(t testing.TB, err error, want diag.ID) {
	t.Helper()
	if f := lima.Failure(err); f.Problem != string(want) {
		t.Errorf("%v is known as %q, want %q", err, f.Problem, want)
	}
}

// NewVM is a VM in a Lima home of its own, with a cache of its own.
func NewVM(t testing.TB) layout.VM {
	t.Helper()
	dir := t.TempDir()
	vm := layout.VM{Home: filepath.Join(dir, "lima"), Name: "rd", Logs: filepath.Join(dir, "log")}
	t.Setenv("LIMA_HOME", vm.Home)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	t.Setenv("HOME", dir)
	version.Version = "1.2.2" // a test's build information doesn't say it
	return vm
}

// Needs skips a test when a program is missing, unless the whole suite is required.
func Needs(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			testenv.Missing(t, "%v", err)
		}
	}
}

// NeedsVMPrograms is Needs for the programs that a VM needs.
func NeedsVMPrograms(t testing.TB) {
	t.Helper()
	Needs(t, "qemu-img", "qemu-system-x86_64", "ssh", "ssh-keygen")
}

// Image is the content of an image.
func Image() []byte { return bytes.Repeat([]byte("picture "), 4*MiB/8) }

// Digest is the digest of b, as a template says it.
func Digest(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// WriteImage makes an image file.
func WriteImage(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.raw")
	WriteFile(t, path, string(Image()))
	return path
}

// WriteFile writes a file, and makes its folder if need be.
func WriteFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// MarkDisks makes additional disks that VMs have in use: users has the VM's directory for each disk. It returns the marks.
func MarkDisks(t testing.TB, home string, users map[string]string) (marks map[string]string) {
	t.Helper()
	marks = map[string]string{}
	for disk, user := range users {
		dir := filepath.Join(layout.DisksDir(home), disk)
		marks[disk] = filepath.Join(dir, layout.DiskUser)
		WriteFile(t, filepath.Join(dir, "datadisk"), "")
		if err := os.Symlink(user, marks[disk]); err != nil {
			t.Fatal(err)
		}
	}
	return marks
}

// HoldHostagentLock holds the lock of a VM's hostagent, as a hostagent that lives does.
func HoldHostagentLock(t testing.TB, vm layout.VM) {
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

// OtherProcess starts a process that has nothing to do with any VM.
func OtherProcess(t testing.TB) *exec.Cmd {
	t.Helper()
	Needs(t, "sleep")
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
