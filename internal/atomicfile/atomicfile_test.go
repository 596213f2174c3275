package atomicfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/atomicfile"
)

func TestWriteReplacesTheWholeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, text := range []string{"first and long", "second", ""} {
		if err := atomicfile.Write(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if b, err := atomicfile.Read(path); err != nil || string(b) != text {
			t.Errorf("%q, %v; want %q", b, err, text)
		}
	}
	only(t, filepath.Dir(path), "file")
}

func TestReaderNeverGetsAPartOfAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	long, short := strings.Repeat("long", 1<<16), "short"
	if err := atomicfile.Write(path, []byte(short)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		for range 50 {
			if err := errors.Join(atomicfile.Write(path, []byte(long)), atomicfile.Write(path, []byte(short))); err != nil {
				done <- err
				return
			}
		}
		close(done)
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
		b, err := atomicfile.Read(path)
		if err != nil || string(b) != long && string(b) != short {
			t.Fatalf("a reader saw %d bytes, %v", len(b), err)
		}
	}
}

func TestFailedWriteKeepsTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file") // a folder can't be replaced by a file
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Write(path, []byte("text")); err == nil {
		t.Error("a folder was replaced")
	}
	only(t, dir, "file")
	if err := atomicfile.Write(filepath.Join(dir, "missing", "file"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// only checks what a folder holds, temporary files included.
func only(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("%v, %v; want only %s", entries, err, name)
	}
}
