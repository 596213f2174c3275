package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// outputFlag is --output. It is one of a command's formats.
type outputFlag string

// choice is a flag's value that is one of a few words.
type choice struct {
	value *string
	kind  string // in the help's usage line
	known []string
}

func (c choice) String() string {
	if c.value == nil { // as pflag makes it, to learn the zero value
		return ""
	}
	return *c.value
}
func (c choice) Type() string { return c.kind }

func (c choice) Set(value string) error {
	if !slices.Contains(c.known, value) {
		return fmt.Errorf("want one of %s", strings.Join(c.known, ", "))
	}
	*c.value = value
	return nil
}

// addOutput gives cmd --output. Formats come beside those that every command has.
func addOutput(cmd *cobra.Command, formats ...string) *outputFlag {
	o := outputFlag("table")
	known := append([]string{"table", "json", "yaml"}, formats...)
	last := len(known) - 1
	cmd.Flags().VarP(choice{(*string)(&o), "FORMAT", known}, "output", "o", "output format: "+strings.Join(known[:last], ", ")+" or "+known[last])
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(known, cobra.ShellCompDirectiveNoFileComp))
	return &o
}

// print writes data as --output asks; table writes it for people.
func (s *session) print(o outputFlag, data any, table func(w io.Writer)) error {
	switch o {
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
