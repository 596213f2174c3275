package scratch

import (
	"os"
	"path/filepath"
	"testing"

	"rancherdesktop.io/rdd/internal/proc"
)

// Each probe that was killed left a folder behind.
func TestFolderOfAKilledProcessIsRemovedByTheNext(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "[a")) // which is no pattern
	t.Setenv("TMP", os.Getenv("TMPDIR"))
	if err := os.Mkdir(os.TempDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	left, err := New("rdd-x-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(left.Path, "rom"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	used, err := New("rdd-x-")
	if err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(os.TempDir(), "rdd-x-notes") // no lock in it
	if err := os.Mkdir(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left.Path); err != nil {
		t.Fatal("the folder of a process that lives is gone:", err)
	}
	if err := left.lock.Release(); err != nil { // as its end does
		t.Fatal(err)
	}
	next, err := New("rdd-x-")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left.Path); err == nil {
		t.Error("it is still there")
	}
	for _, path := range []string{used.Path, foreign, next.Path} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	if held, err := proc.Held(filepath.Join(next.Path, lockName)); !held || err != nil {
		t.Error("the new folder is not locked:", err)
	}
	for _, d := range []*Dir{used, next} {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(d.Path); err == nil {
			t.Error("closed, and still there:", d.Path)
		}
	}
}
