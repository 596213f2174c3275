package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/kballard/go-shellquote"
	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/core"
)

// outputShell is the format of assignments that a shell evaluates.
const outputShell = "shell"

func (s *session) servicePaths() *cobra.Command {
	cmd := &cobra.Command{
		Use: "paths [KEY]", Short: "Print the paths of the instance's files",
		Long: "Prints the paths of the instance's files: all of them, or the one with this KEY. --output shell prints\n" +
			"assignments for a POSIX shell:\n" +
			"  eval \"$(rdd svc paths --output shell)\"; ls \"$RDD_VM_LOGS\"",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s takes at most one KEY; got %q", cmd.CommandPath(), args)
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) (keys []string, _ cobra.ShellCompDirective) {
			if c, err := s.core(); err == nil && len(args) == 0 {
				keys = pathKeys(c.Instance().Paths())
			}
			return keys, cobra.ShellCompDirectiveNoFileComp
		},
	}
	output := addOutput(cmd, outputShell)
	cmd.RunE = s.withCore(func(_ *cobra.Command, args []string, c *core.Core) error {
		paths := c.Instance().Paths()
		var data any = paths
		format := "%[1]s\t%[2]s\n"
		if len(args) == 1 {
			keys := pathKeys(paths)
			i := slices.Index(keys, args[0])
			if i < 0 {
				return usagef("there is no path %q; must be one of %s", args[0], strings.Join(keys, ", "))
			}
			paths, data, format = paths[i:i+1], paths[i], "%[2]s\n"
		}
		if *output == outputShell {
			for _, p := range paths {
				name := strings.ToUpper(strings.ReplaceAll(p.Key, "-", "_"))
				if _, err := fmt.Fprintf(s.Out, "RDD_%s=%s\n", name, shellquote.Join(p.Path)); err != nil {
					return err
				}
			}
			return nil
		}
		return s.print(*output, data, func(w io.Writer) {
			for _, p := range paths {
				fmt.Fprintf(w, format, p.Key, p.Path)
			}
		})
	})
	return cmd
}

func pathKeys(paths []core.Path) (keys []string) {
	for _, p := range paths {
		keys = append(keys, p.Key)
	}
	return keys
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
