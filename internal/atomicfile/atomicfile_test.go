package atomicfile_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/atomicfile"
)

// envFile makes the test binary a process that writes this file again and again, until it is killed or its standard input ends,
// as it does with the test. It reports its first write, and an error.
const envFile = "ATOMICFILE_TEST_FILE"

// written is how many bytes such a process writes, all of them the same letter.
const written = 1 << 16

func TestMain(m *testing.M) {
	path := os.Getenv(envFile)
	if path == "" {
		os.Exit(m.Run())
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	text := []byte(strings.Repeat(string(rune('a'+os.Getpid()%26)), written))
	for first := true; ; first = false {
		if err := atomicfile.Write(path, text); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		if first {
			fmt.Println("writing")
		}
	}
}

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

// Each kill of the service in a write left one more file, some with credentials.
func TestKilledWritersLeaveNoMoreAndMoreFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	const rounds, writers = 8, 4
	for range rounds {
		for _, end := range startWriters(t, path, writers) {
			end()
		}
		b, err := atomicfile.Read(path)
		if err != nil || len(b) != written || strings.Trim(string(b), string(b[:1])) != "" {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
	}
	if err := atomicfile.Write(path, nil); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 2*writers { // those who write at the same time use one file each
		t.Errorf("%d writers were killed; there are %v, %v", rounds*writers, entries, err)
	}
}

// startWriters starts processes that write the file. It returns functions that kill them in the middle of it.
func startWriters(t *testing.T, path string, count int) (ends []func()) {
	t.Helper()
	for range count {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(cmd.Environ(), envFile+"="+path)
		_, err := cmd.StdinPipe() // open until the process or this one has ended
		var out io.ReadCloser
		if err == nil {
			out, err = cmd.StdoutPipe()
		}
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		end := func() { _, _ = cmd.Process.Kill(), cmd.Wait() }
		t.Cleanup(end)
		lines := bufio.NewScanner(out)
		if lines.Scan(); lines.Text() != "writing" {
			t.Fatal(lines.Text())
		}
		ends = append(ends, func() {
			_ = cmd.Process.Kill()
			for lines.Scan() {
				t.Error(lines.Text())
			}
			end()
		})
	}
	return ends
}

func TestWriterTakesOverTheFileOfAKilledOne(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(filepath.Join(dir, ".file.0"), []byte("longer than the next"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Write(path, []byte("next")); err != nil {
		t.Fatal(err)
	}
	if b, err := atomicfile.Read(path); err != nil || string(b) != "next" {
		t.Errorf("%q, %v", b, err)
	}
	only(t, dir, "file")
}

// only checks what a folder holds, temporary files included.
func only(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("%v, %v; want only %s", entries, err, name)
	}
}
