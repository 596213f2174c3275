package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/kballard/go-shellquote"
	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/core"
)

func (s *session) servicePaths() *cobra.Command {
	cmd := &cobra.Command{
		Use: "paths [KEY]", Short: "Print where the instance keeps its files",
		Long: "Prints where the instance keeps its files: all paths, or the one with this KEY. --output shell prints\n" +
			"assignments for a POSIX shell:\n" +
			"  eval \"$(rdd svc paths --output shell)\"; ls \"$RDD_VM_LOGS\"",
	}
	output := addOutput(cmd, outputShell)
	cmd.RunE = s.withCore(func(_ *cobra.Command, args []string, c *core.Core) error {
		paths := c.Instance().Paths()
		if len(args) == 0 {
			return s.printPaths(*output, paths, paths, func(w io.Writer) {
				for _, p := range paths {
					fmt.Fprintf(w, "%s\t%s\n", p.Key, p.Path)
				}
			})
		}
		var keys []string
		for _, p := range paths {
			if p.Key == args[0] {
				return s.printPaths(*output, []core.Path{p}, p, func(w io.Writer) { fmt.Fprintln(w, p.Path) })
			}
			keys = append(keys, p.Key)
		}
		return usagef("there is no path %q; known: %s", args[0], strings.Join(keys, ", "))
	})
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usagef("%s takes at most one KEY; got %q", cmd.CommandPath(), args)
		}
		return nil
	}
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) (keys []string, _ cobra.ShellCompDirective) {
		if c, err := s.core(); err == nil && len(args) == 0 {
			for _, p := range c.Instance().Paths() {
				keys = append(keys, p.Key)
			}
		}
		return keys, cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

// outputShell is the format of assignments that a shell evaluates.
const outputShell = "shell"

// printPaths is print with the format that only paths have.
func (s *session) printPaths(o outputFlag, paths []core.Path, data any, table func(w io.Writer)) error {
	if o != outputShell {
		return s.print(o, data, table)
	}
	for _, p := range paths {
		name := "RDD_" + strings.ToUpper(strings.ReplaceAll(p.Key, "-", "_"))
		if _, err := fmt.Fprintf(s.Out, "%s=%s\n", name, shellquote.Join(p.Path)); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) serviceConfig() *cobra.Command {
	return &cobra.Command{
		Use: "config", Short: "Print the kubeconfig of the instance's control plane", Args: noArgs,
		Long: "Prints the kubeconfig of the instance's control plane. It contains a credential: keep it secret.",
		RunE: s.withCore(func(_ *cobra.Command, _ []string, c *core.Core) error {
			b, err := c.Service().Kubeconfig()
			if err == nil {
				_, err = s.Out.Write(b)
			}
			return err
		}),
	}
}
