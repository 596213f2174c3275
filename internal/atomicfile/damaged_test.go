package atomicfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/atomicfile"
)

func TestDamagedFileIsRecognized(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	var to struct{ A int }
	if err := atomicfile.ReadJSON(path, &to); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	for text, damaged := range map[string]bool{
		`{"a": 1}`: false, " {}\n": false,
		"": true, "\n": true, strings.Repeat("\x00", 30): true, "null": true, "[]": true, `{"a": `: true, `{"a": "x"}`: true, `{} {}`: true,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := atomicfile.ReadJSON(path, &to)
		if e, is := errors.AsType[*atomicfile.DamagedError](err); is != damaged || is && e.File != path {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestPutAsideReplacesNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, want := range []string{path + ".damaged", path + ".damaged-2", path + ".damaged-3"} {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		if next := atomicfile.Aside(path); next != want {
			t.Errorf("would be put aside as %s", next)
		}
		aside, err := atomicfile.PutAside(path)
		if text, _ := os.ReadFile(aside); err != nil || aside != want || string(text) != want {
			t.Errorf("%s, %v: %s", aside, err, text)
		}
	}
}

func TestCopyAsideLeavesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{path + ".damaged", path + ".damaged-2"} {
		aside, err := atomicfile.CopyAside(path)
		if err != nil || aside != want {
			t.Errorf("%s, %v", aside, err)
		}
		for _, file := range []string{path, aside} {
			if text, _ := os.ReadFile(file); string(text) != "damaged" {
				t.Errorf("%s: %q", file, text)
			}
		}
	}
}
