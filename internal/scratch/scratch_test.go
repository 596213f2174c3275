package scratch

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"rancherdesktop.io/rdd/internal/proc"
)

// envLoop makes the test binary a process that makes, fills and removes folders, to its end.
const envLoop = "SCRATCH_TEST_LOOP"

func TestMain(m *testing.M) {
	if os.Getenv(envLoop) == "" {
		os.Exit(m.Run())
	}
	for {
		if err := use(); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
	}
}

// use makes a folder, fills it, checks that it stays, and removes it. It reports each step.
func use() error {
	d, err := New("rdd-x-")
	if err != nil {
		return err
	}
	fmt.Println("made")
	for n := range 100 {
		if err := os.WriteFile(filepath.Join(d.Path, strconv.Itoa(n)), nil, 0o600); err != nil {
			return err
		}
	}
	if files, err := os.ReadDir(d.Path); err != nil || len(files) != 101 {
		return fmt.Errorf("there are %d files, %w", len(files), err)
	}
	fmt.Println("filled")
	return d.Close()
}

// emptyTemp makes an empty directory of temporary files.
func emptyTemp(t *testing.T) {
	t.Helper()
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "[a")) // which is no pattern
	t.Setenv("TMP", os.Getenv("TMPDIR"))
	if err := os.Mkdir(os.TempDir(), 0o700); err != nil {
		t.Fatal(err)
	}
}

// A process that was killed before it had locked its folder, or after it had removed the lock, left the folder for good.
func TestNothingIsLeftWhenAProcessIsKilledAtAnyMoment(t *testing.T) {
	emptyTemp(t)
	for n := range 40 {
		a, b := startLoop(t), startLoop(t) // each removes what it takes for the other's leftovers
		for range 1 + n%4 {
			a.Scan()
		}
		for _, p := range []*loop{a, b} {
			if err := p.end(); err != "" {
				t.Fatal(err)
			}
		}
	}
	nothingIsLeft(t)
}

// nothingIsLeft makes one more folder, which sweeps what others have left, and checks that nothing is there afterwards.
func nothingIsLeft(t *testing.T) {
	t.Helper()
	last, err := New("rdd-x-")
	if err != nil {
		t.Fatal(err)
	}
	if err := last.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// loop is a process that uses folders. It scans the steps that it reports.
type loop struct {
	*bufio.Scanner
	cmd *exec.Cmd
}

func startLoop(t *testing.T) *loop {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(cmd.Environ(), envLoop+"=1")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	return &loop{bufio.NewScanner(out), cmd}
}

// end kills the process and returns how it has failed before, or "".
func (p *loop) end() (failed string) {
	_ = p.cmd.Process.Kill()
	for p.Scan() {
		if line := p.Text(); line != "made" && line != "filled" {
			failed += line
		}
	}
	_ = p.cmd.Wait()
	return failed
}

// Each probe that was killed left a folder behind.
func TestFolderOfAKilledProcessIsRemovedByTheNext(t *testing.T) {
	emptyTemp(t)
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
	unlocked := filepath.Join(os.TempDir(), "rdd-x-1")
	full := filepath.Join(os.TempDir(), "rdd-x-2", "file") // and no lock
	for _, dir := range []string{foreign, unlocked, full} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
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
	if _, err := os.Stat(unlocked); err == nil {
		t.Error("the folder of a process that was killed before it had locked it is still there")
	}
	for _, path := range []string{used.Path, foreign, full, next.Path} {
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

// A folder in which a child made a file while it was removed stayed for good: it had no lock any more.
func TestFolderInWhichAChildStillMakesFilesIsRemoved(t *testing.T) {
	emptyTemp(t)
	for range 50 {
		d, err := New("rdd-x-")
		if err != nil {
			t.Fatal(err)
		}
		made, closed := make(chan struct{}), make(chan struct{})
		go func() { // the child
			defer close(made)
			for n := 0; ; n++ {
				select {
				case <-closed:
					return
				default:
					_ = os.WriteFile(filepath.Join(d.Path, strconv.Itoa(n)), nil, 0o600) // fails when the folder is gone
				}
			}
		}()
		_ = d.Close() // fails if files are made all the time
		close(closed)
		<-made
	}
	nothingIsLeft(t)
}
