package cli

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/internal/diag"
)

var advised = regexp.MustCompile(`\brdd ((?:[a-z]+ ?)+)`)

func TestRemediesNameCommandsThatExist(t *testing.T) {
	p, _ := newProgram(t)
	root := p.Command()
	found := 0
	for _, problem := range diag.Known() {
		for _, goos := range []string{"linux", "darwin", "windows", "other"} {
			for _, match := range advised.FindAllStringSubmatch(problem.Remedy(goos), -1) {
				words := strings.Fields(match[1])
				top := slices.IndexFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == words[0] || c.HasAlias(words[0]) })
				if top < 0 {
					if slices.Contains([]string{"with", "as", "was"}, words[0]) { // as in "Never run rdd with sudo."
						continue
					}
					t.Errorf("%s: there is no command rdd %s", problem.ID, words[0])
					continue
				}
				found++
				parent := root.Commands()[top]
				if parent.HasSubCommands() && (len(words) < 2 || !slices.ContainsFunc(parent.Commands(), func(c *cobra.Command) bool { return c.Name() == words[1] || c.HasAlias(words[1]) })) {
					t.Errorf("%s: there is no command rdd %s", problem.ID, match[1])
				}
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d commands were checked", found)
	}
}

func TestAdviceHasTheFlagInstanceInEveryCommand(t *testing.T) {
	p, _ := newProgram(t)
	root := p.Command()
	for _, cmd := range root.Commands() {
		for _, name := range append([]string{cmd.Name()}, cmd.Aliases...) {
			if got, want := withInstance(root, "try: rdd "+name+" x", "i"), "try: rdd --instance i "+name+" x"; got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
	}
}
