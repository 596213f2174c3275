package cli

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// shown matches the commands in Markdown code: in a code span or an indented line. A match ends before a comment or
// another command.
var shown = regexp.MustCompile("(?m)(?:^ {4,}|`|\\$\\()rdd ([^`#|;&)\n]+)")

// The README and the guides show only commands and flags that exist.
func TestDocsShowCommandsThatExist(t *testing.T) {
	const top = "../.."
	files, err := filepath.Glob(top + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, top+"/README.md", top+"/CONTRIBUTING.md", top+"/SECURITY.md", top+"/.github/ISSUE_TEMPLATE/bug.yml")
	p, _ := newProgram(t)
	root, found := p.Command(), 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range shown.FindAllStringSubmatch(string(text), -1) {
			found++
			cmd, args, err := root.Find(strings.Fields(match[1]))
			var unknown *pflag.NotExistError
			switch {
			case err != nil:
				t.Errorf("%s shows rdd %s: %v", file, match[1], err)
			case cmd.HasSubCommands() && cmd.HasParent() && len(args) > 0 && !strings.HasPrefix(args[0], "-") && !cmd.DisableFlagParsing:
				t.Errorf("%s shows rdd %s: there is no %s", file, match[1], args[0])
			case errors.As(cmd.ParseFlags(args), &unknown):
				t.Errorf("%s shows rdd %s: %v", file, match[1], unknown)
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d commands were checked", found)
	}
}
