package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	paths       = regexp.MustCompile("`((?:app|build|cmd|core|docs|frontend|internal|dist/tools)/[\\w./*-]+)`")
	placeholder = regexp.MustCompile(`GROUP|KIND|NAME|RESOURCE|dist/`)
	testRuns    = regexp.MustCompile(`go test -tags grpcnotrace \./(\S+) -run (Test\w+)`)
)

// The contributor's guide names files and tests that exist.
func TestGuideNamesFilesAndTestsThatExist(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, match := range paths.FindAllStringSubmatch(string(b), -1) {
		if placeholder.MatchString(match[1]) {
			continue
		}
		found++
		if files, err := filepath.Glob(filepath.Join(root, match[1])); err != nil || len(files) == 0 {
			t.Errorf("there is no %s (%v)", match[1], err)
		}
	}
	for _, match := range testRuns.FindAllStringSubmatch(string(b), -1) {
		found++
		if !hasTest(t, filepath.Join(root, match[1]), match[2]) {
			t.Errorf("%s has no %s", match[1], match[2])
		}
	}
	if found < 30 {
		t.Errorf("only %d files and tests were looked for", found)
	}
}

// hasTest reports whether a folder has a test whose name begins with name.
func hasTest(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+name) {
			return true
		}
	}
	return false
}
