package core

import (
	"os"
	"path/filepath"
	"testing"

	"rancherdesktop.io/rdd/internal/instance"
)

// A download replaces no file of the user.
func TestADownloadIsANewFile(t *testing.T) {
	home := t.TempDir()
	c := New(instance.At(home, "default", home), "test")
	saved := func(path, suggested string) string {
		t.Helper()
		f, err := c.newFile(path, suggested)
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		return f.Name()
	}
	dir := c.Instance().Home()
	if got := saved("", "data.tar"); got != filepath.Join(dir, "data.tar") {
		t.Errorf("without a folder for downloads: %s", got)
	}
	dir = filepath.Join(dir, "Downloads")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"data.tar", "data (1).tar", "data (2).tar"} {
		if got := saved("", "data.tar"); got != filepath.Join(dir, want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
	named := filepath.Join(dir, "mine")
	if got := saved(named, "data.tar"); got != named {
		t.Error(got)
	}
	if _, err := c.newFile(named, "data.tar"); KindOf(err) != Usage {
		t.Errorf("a file that exists: %v", err)
	}
}
