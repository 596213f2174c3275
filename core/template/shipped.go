package template

import (
	"bufio"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

// Source says where a template comes from.
type Source string

// Info is a template that a VM can be made from.
type Info struct {
	Name        string `json:"name"`
	Locator     string `json:"locator"` // what Create and ReadTemplate take
	Description string `json:"description"`
	Source      Source `json:"source"`
}

// templateFiles are the templates in a folder; none if there is no such folder.
func templateFiles(dir string) (paths []string) {
	names, _ := fs.Glob(os.DirFS(dir), "*.yaml") // filepath.Glob would take a [ in dir for a pattern
	for _, name := range names {
		paths = append(paths, filepath.Join(dir, name))
	}
	return paths
}

// describeTemplate reads the words with which a template file begins.
func describeTemplate(path, locator string) Info {
	t := Info{Name: strings.TrimSuffix(filepath.Base(path), ".yaml"), Locator: locator, Source: SourceShipped}
	t.Description = strings.ReplaceAll(t.Name, "-", " ")
	if r := []rune(t.Description); len(r) > 0 {
		t.Description = string(unicode.ToUpper(r[0])) + string(r[1:])
	}
	file, err := os.Open(path)
	if err != nil {
		return t
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	if lines.Scan() {
		words, comment := strings.CutPrefix(lines.Text(), "# ")
		if comment && strings.IndexFunc(words, unicode.IsLetter) == 0 {
			t.Description = words
		}
	}
	return t
}

// The sources of templates.
const (
	SourceShipped Source = "shipped" // with RDD
	SourceStored  Source = "stored"  // in a ConfigMap of the control plane
)

// Shipped lists the templates that ship with RDD, in share, RDD's own guest first.
func Shipped(share string) (all []Info) {
	for _, path := range templateFiles(filepath.Join(share, "rdd", "guest")) {
		all = append(all, describeTemplate(path, path))
	}
	for _, path := range templateFiles(filepath.Join(share, "lima", "templates")) {
		all = append(all, describeTemplate(path, "template://"+strings.TrimSuffix(filepath.Base(path), ".yaml")))
	}
	return all
}
