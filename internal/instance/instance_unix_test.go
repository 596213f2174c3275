//go:build unix

package instance

import (
	"os"
	"syscall"
	"testing"
)

func TestDirectoriesArePrivateWhateverTheUmask(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	root, err := os.MkdirTemp("", "i") // sockets need a short path
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(root) }()
	i := At(root, "t", root)
	if err := i.Create(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{i.DataDir(), i.LogDir(), i.ShortDir()} {
		if info, err := os.Stat(dir); err != nil || info.Mode() != os.ModeDir|0o700 {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
	}
}
