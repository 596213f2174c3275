// Command clidocs writes the reference of rdd from its command tree, one Markdown page per command.
// `make generate` calls it, and `make verify` compares. With -man it writes manual pages for the packages.
package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"rancherdesktop.io/rdd/app/cli"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "clidocs: %v\n", err)
		os.Exit(1)
	}
}

// run writes the pages into a folder, and removes the pages of commands that no longer exist.
func run(args []string) error {
	if len(args) == 2 && args[0] == "-man" {
		return manual(args[1])
	}
	if len(args) != 1 {
		return errors.New("usage: clidocs [-man] DIR")
	}
	dir := args[0]
	old, err := filepath.Glob(filepath.Join(dir, "rdd*.md"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	root := (&cli.Program{}).Reference()
	root.InitDefaultCompletionCmd()
	return write(dir, root)
}

// manual writes one manual page per command into dir.
func manual(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root := (&cli.Program{}).Reference()
	root.DisableAutoGenTag = true
	return doc.GenManTree(root, &doc.GenManHeader{Title: "RDD", Section: "1", Source: "RDD", Manual: "RDD"}, dir)
}

// write writes the pages of cmd and of its subcommands.
func write(dir string, cmd *cobra.Command) error {
	if err := os.WriteFile(filepath.Join(dir, fileName(cmd)), []byte(page(cmd)), 0o644); err != nil {
		return err
	}
	for _, child := range cmd.Commands() {
		if child.IsAvailableCommand() {
			if err := write(dir, child); err != nil {
				return err
			}
		}
	}
	return nil
}

func fileName(cmd *cobra.Command) string {
	return strings.ReplaceAll(cmd.CommandPath(), " ", "_") + ".md"
}

// page returns the page of one command.
func page(cmd *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", cmd.CommandPath())
	if !cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "%s\n\n", code(cmd.UseLine()))
	}
	fmt.Fprintf(&b, "%s\n\n", prose(cmp.Or(cmd.Long, cmd.Short+".")))
	if cmd.HasAvailableSubCommands() {
		b.WriteString("| command | what it does |\n|---|---|\n")
		for _, child := range cmd.Commands() {
			if child.IsAvailableCommand() {
				fmt.Fprintf(&b, "| [%s](%s) | %s |\n", child.CommandPath(), fileName(child), child.Short)
			}
		}
		b.WriteString("\n")
	}
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(&b, "Also called: %s\n\n", strings.Join(cmd.Aliases, ", "))
	}
	if flags := cmd.NonInheritedFlags(); flags.HasAvailableFlags() && !cmd.DisableFlagParsing {
		fmt.Fprintf(&b, "## Options\n\n%s\n\n", code(flags.FlagUsages()))
	}
	if flags := cmd.InheritedFlags(); flags.HasAvailableFlags() {
		fmt.Fprintf(&b, "## Options of every command\n\n%s\n\n", code(flags.FlagUsages()))
	}
	if cmd.HasParent() {
		fmt.Fprintf(&b, "Part of [%s](%s).\n", cmd.Parent().CommandPath(), fileName(cmd.Parent()))
	}
	return strings.TrimSpace(b.String()) + "\n"
}

// prose turns the indented examples of a help text into Markdown code, which needs four spaces and a blank line before.
func prose(text string) string {
	var lines []string
	inCode := false
	for line := range strings.Lines(strings.TrimSpace(text)) {
		line = strings.TrimRight(line, "\n")
		trimmed := strings.TrimLeft(line, " \t")
		indented := trimmed != "" && trimmed != line
		if indented && !inCode && len(lines) > 0 && lines[len(lines)-1] != "" {
			lines = append(lines, "")
		}
		inCode = indented
		if indented {
			line = "    " + trimmed
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// code returns text as an indented Markdown code block, without spaces at the ends of lines.
func code(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = "    " + strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}
