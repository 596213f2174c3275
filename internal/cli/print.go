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

// outputFlag is --output.
type outputFlag string

func outputs() []string { return []string{"table", "json", "yaml"} }

func (o *outputFlag) String() string { return string(*o) }
func (o *outputFlag) Type() string   { return "FORMAT" }

func (o *outputFlag) Set(value string) error {
	if !slices.Contains(outputs(), value) {
		return fmt.Errorf("want one of %s", strings.Join(outputs(), ", "))
	}
	*o = outputFlag(value)
	return nil
}

func addOutput(cmd *cobra.Command) *outputFlag {
	o := outputFlag("table")
	cmd.Flags().VarP(&o, "output", "o", "output format: table, json or yaml")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(outputs(), cobra.ShellCompDirectiveNoFileComp))
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
