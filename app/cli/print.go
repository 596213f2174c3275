package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"
)

// choice is the value of a flag that takes one of a few words.
type choice struct {
	value *string
	kind  string // the value's name in the usage line
	known []string
}

func (c choice) String() string {
	if c.value == nil { // pflag makes such a choice to learn the zero value
		return ""
	}
	return *c.value
}
func (c choice) Type() string { return c.kind }

func (c choice) Set(value string) error {
	if !slices.Contains(c.known, value) {
		return fmt.Errorf("must be one of %s", strings.Join(c.known, ", "))
	}
	*c.value = value
	return nil
}

// addChoice adds a flag that takes one of the known words to flags, which are those of cmd, and completes it.
func addChoice(cmd *cobra.Command, flags *pflag.FlagSet, value *string, name, shorthand, kind string, known []string, usage string) {
	flags.VarP(choice{value, kind, known}, name, shorthand, usage)
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(known, cobra.ShellCompDirectiveNoFileComp))
}

// addOutput adds --output to cmd. It takes table, json, yaml, and the formats that only this command has.
func addOutput(cmd *cobra.Command, formats ...string) *string {
	format := "table"
	known := append([]string{"table", "json", "yaml"}, formats...)
	last := len(known) - 1
	addChoice(cmd, cmd.Flags(), &format, "output", "o", "FORMAT", known, "output format: "+strings.Join(known[:last], ", ")+" or "+known[last])
	return &format
}

// print writes data to stdout in the format of --output. table writes it for people.
func (s *session) print(format string, data any, table func(w io.Writer)) error {
	s.endProgress()
	switch format {
	case "json":
		enc := json.NewEncoder(s.Out)
		enc.SetIndent("", "  ")
		return enc.Encode(data)
	case "yaml":
		b, err := yaml.Marshal(data)
		if err == nil {
			_, err = s.Out.Write(b)
		}
		return err
	}
	w := tabwriter.NewWriter(s.Out, 0, 0, 3, ' ', 0)
	table(w)
	return w.Flush()
}

// printRows writes names and values, which alternate, as rows of a table. It leaves out empty values.
func printRows(w io.Writer, namesAndValues ...string) {
	for row := range slices.Chunk(namesAndValues, 2) {
		if row[1] != "" {
			fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
		}
	}
}

// oneLine cuts a value to its first line, for a cell of a table.
func oneLine(value string) string {
	first, more, _ := strings.Cut(value, "\n")
	if more != "" {
		first += " …"
	}
	return strings.ReplaceAll(first, "\t", " ")
}

// count is a number with its noun, such as "1 problem" or "2 problems".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
