//go:build unix

package atomicfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"rancherdesktop.io/rdd/internal/atomicfile"
)

// A new file has a new inode, so what had the mode 0644 is read by others only in its old state.
func TestFileIsPrivateWithAnyUmask(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := atomicfile.Write(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	old := make([]byte, 10)
	if n, _ := reader.Read(old); string(old[:n]) != "old" {
		t.Errorf("who had the old file open reads %q", old[:n])
	}
}

// What another user had put there in a shared folder was filled with the file's content, or made the writer wait forever; and a
// leftover that could not be opened made each later write fail.
func TestWriteUsesNoTemporaryFileThatIsNotItsOwn(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	for name, put := range map[string]func(there, victim string) error{
		"FIFO":                      func(there, _ string) error { return syscall.Mkfifo(there, 0o600) },
		"folder":                    func(there, _ string) error { return os.Mkdir(there, 0o700) },
		"symbolic link":             func(there, victim string) error { return os.Symlink(victim, there) },
		"hard link":                 func(there, victim string) error { return os.Link(victim, there) },
		"file that others can read": func(there, _ string) error { return os.WriteFile(there, nil, 0o644) },
		"file that is read-only":    func(there, _ string) error { return os.WriteFile(there, nil, 0o400) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path, victim := filepath.Join(dir, "file"), filepath.Join(dir, "victim")
			if err := os.WriteFile(victim, []byte("victim"), 0o600); err != nil {
				t.Fatal(err)
			}
			there := filepath.Join(dir, ".file.0")
			if err := put(there, victim); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(there)
			if err != nil {
				t.Fatal(err)
			}
			if err := atomicfile.Write(path, []byte("text")); err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != "text" {
				t.Errorf("%q, %v", b, err)
			}
			if b, err := os.ReadFile(victim); err != nil || string(b) != "victim" {
				t.Errorf("the other file: %q, %v", b, err)
			}
			if after, err := os.Lstat(there); err != nil || !os.SameFile(before, after) {
				t.Errorf("it was used, %v", err)
			}
			if info, err := os.Lstat(path); err != nil || info.Mode() != 0o600 {
				t.Errorf("%v, %v", info, err)
			}
			if all, err := os.ReadDir(dir); err != nil || len(all) != 3 {
				t.Errorf("there are %v, %v", all, err)
			}
		})
	}
}

func TestWriteLikeKeepsModeAndOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	owner := os.Geteuid()
	if owner == 0 {
		owner = 1234
		if err := os.Chown(path, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	like, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	veto := errors.New("changed meanwhile")
	if err := atomicfile.WriteLike(path, []byte("new"), like, func() error { return veto }); !errors.Is(err, veto) {
		t.Error(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "old" {
		t.Errorf("%q, %v", b, err)
	}
	if err := atomicfile.WriteLike(path, []byte("new"), like, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "new" {
		t.Errorf("%q, %v", b, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o640 || int(info.Sys().(*syscall.Stat_t).Uid) != owner {
		t.Errorf("%v, %v", info, err)
	}
	only(t, filepath.Dir(path), "file")
}
