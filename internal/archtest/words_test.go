package archtest

import (
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// words are hard to read or must be looked up. The value is what to write instead. The keys are regular expressions for
// whole words, in lower case.
var words = map[string]string{
	`anew`:                     "again, or the verb: rebuild, recreate, restart",
	`afresh`:                   "again, or from the beginning",
	`heed(s|ed|ing)?`:          "respect, follow",
	`hearken(s|ed)?`:           "listen",
	`obey(s|ed|ing)?`:          "follow, respond to",
	`mend(s|ed|ing)`:           "fix, repair",
	`can't mend`:               "can't fix, doesn't help",
	`betimes`:                  "early",
	`hence|thus`:               "so",
	`likewise`:                 "also, for the same reason",
	`shall`:                    "must, or the present tense",
	`for ever`:                 "forever",
	`rdd limavm`:               "rdd vm, which is what users type",
	`upon`:                     "on, when",
	`whilst|amongst`:           "while, among",
	`lest`:                     "so that ... not",
	`albeit`:                   "although",
	`forthwith`:                "immediately",
	`n[ao]ught`:                "nothing, zero",
	`ha(s|ve) not to`:          "doesn't have to, must not",
	`on the sly`:               "silently",
	`lets? (its|their) reader`: "credential",
	`(where|there|here)(of|in|with|by|to|upon|at|on|from|after)`: "of it, in which, by that",
	`(whence|thence|hither|thither|hitherto|henceforth|withal)`:  "from where, until now, from now on",
}

// scanned lists the extensions of the files that people read; "" is for scripts and the Makefile.
var scanned = map[string]bool{
	"": true, ".go": true, ".md": true, ".ts": true, ".svelte": true, ".js": true, ".mjs": true, ".css": true, ".html": true,
	".sh": true, ".txtar": true, ".txt": true, ".yaml": true, ".yml": true, ".service": true, ".target": true, ".desktop": true, ".metainfo": true, ".xml": true,
}

// unread lists files and folders with generated text, or text of others.
var unread = map[string]bool{
	".git": true, "dist": true, "node_modules": true, "frontend/dist": true, "frontend/wailsjs": true, "frontend/e2e/shots": true,
	"internal/api/crds": true, // holds Kubernetes' descriptions
	"LICENSE":           true, "internal/archtest/words_test.go": true,
}

// All text that people read, in code, on the page and in the documentation, must be plain English.
func TestNoWordsThatAreHardToRead(t *testing.T) {
	var alternatives []string
	for word := range words {
		alternatives = append(alternatives, word)
	}
	hard := regexp.MustCompile(`(?i)\b(` + strings.Join(alternatives, "|") + `)\b`)
	files := 0
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case unread[path] || unread[entry.Name()] && entry.IsDir():
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case !entry.Type().IsRegular() || !scanned[filepath.Ext(path)]:
			return nil
		}
		files++
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return err
		}
		lines := strings.Split(string(text), "\n")
		if filepath.Ext(path) == ".go" {
			lines = prose(text)
		}
		for i, line := range lines {
			for _, found := range hard.FindAllString(line, -1) {
				t.Errorf("%s:%d: %q: write %s", path, i+1, found, instead(found))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 300 {
		t.Errorf("only %d files were read", files)
	}
}

// prose returns the lines of a Go file, with comments and strings only.
func prose(source []byte) []string {
	lines := make([]string, strings.Count(string(source), "\n")+1)
	file := token.NewFileSet().AddFile("", -1, len(source))
	var s scanner.Scanner
	s.Init(file, source, nil, scanner.ScanComments)
	for {
		pos, tok, text := s.Scan()
		switch tok {
		case token.EOF:
			return lines
		case token.COMMENT, token.STRING:
			for i, line := range strings.Split(text, "\n") {
				lines[file.Line(pos)-1+i] += " " + line
			}
		}
	}
}

// instead returns what to write for a word that was found.
func instead(found string) string {
	for word, plain := range words {
		if regexp.MustCompile(`(?i)^(` + word + `)$`).MatchString(found) {
			return plain
		}
	}
	return "another word"
}
