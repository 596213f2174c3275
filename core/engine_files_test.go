package core

import (
	"os"
	"path/filepath"
	"strings"
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

// A pod's container is named POD/CONTAINER.
func TestALogIsSavedAsANewFileInTheFolderForDownloads(t *testing.T) {
	home := t.TempDir()
	c := New(instance.At(home, "default", home), "test")
	downloads := filepath.Join(c.Instance().Home(), "Downloads")
	if err := os.Mkdir(downloads, 0o700); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"pod-web.log", "pod-web (1).log"} {
		text := strings.Repeat("x", i+1)
		path, err := c.SaveText("pod/web.log", text)
		if err != nil || path != filepath.Join(downloads, want) {
			t.Fatalf("%s, %v; want %s", path, err, want)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%s has %q, %v", path, got, err)
		}
	}
}
