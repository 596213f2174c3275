package template

import (
	"bufio"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

// Template is a template that a VM can be created from.
type Template struct {
	Name        string `json:"name"`
	Locator     string `json:"locator"` // for core's Create and TemplateText
	Description string `json:"description"`
	Source      Source `json:"source"`
}

// templateFiles lists the templates in a folder. The folder may be missing.
func templateFiles(dir string) (paths []string) {
	names, _ := fs.Glob(os.DirFS(dir), "*.yaml") // filepath.Glob would interpret a [ in dir
	for _, name := range names {
		paths = append(paths, filepath.Join(dir, name))
	}
	return paths
}

// describeTemplate reads the description in the first line of a template file. Without one, it uses the name.
func describeTemplate(path, locator string) Template {
	t := Template{Name: strings.TrimSuffix(filepath.Base(path), ".yaml"), Locator: locator, Source: SourceShipped}
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
		text, comment := strings.CutPrefix(lines.Text(), "# ")
		if comment && strings.IndexFunc(text, unicode.IsLetter) == 0 {
			t.Description = text
		}
	}
	return t
}

// Source says where a template comes from.
type Source string

// The sources.
const (
	SourceShipped Source = "shipped" // ships with RDD
	SourceStored  Source = "stored"  // in a ConfigMap of the control plane
)

// Shipped lists the templates in share, which ship with RDD. RDD's own guest is first.
func Shipped(share string) (all []Template) {
	for _, path := range templateFiles(filepath.Join(share, "rdd", "guest")) {
		all = append(all, describeTemplate(path, path))
	}
	for _, path := range templateFiles(filepath.Join(share, "lima", "templates")) {
		all = append(all, describeTemplate(path, "template://"+strings.TrimSuffix(filepath.Base(path), ".yaml")))
	}
	return all
}
