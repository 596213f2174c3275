package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/core"
)

func (s *session) serviceLog() *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use: "log", Aliases: []string{"logs"}, Short: "Print the service's log", Args: noArgs,
		RunE: s.withCore(func(cmd *cobra.Command, _ []string, c *core.Core) error {
			return followed(cmd, c.Service().Log(cmd.Context(), s.Out, follow))
		}),
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "keep printing new lines (Ctrl-C to stop)")
	return cmd
}

func (s *session) vmLogs() *cobra.Command {
	var follow bool
	var source string
	cmd := &cobra.Command{
		Use: "logs NAME", Aliases: []string{"log"}, Short: "Print the log of a virtual machine", Args: exactArgs("NAME"), ValidArgsFunction: s.completeVM,
		RunE: s.withCore(func(cmd *cobra.Command, args []string, c *core.Core) error {
			return followed(cmd, c.VMLog(cmd.Context(), s.Out, args[0], source, follow))
		}),
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "keep printing new lines (Ctrl-C to stop)")
	cmd.Flags().StringVar(&source, "source", core.LogHostagent, "log to print: "+strings.Join(core.LogSources(), ", "))
	_ = cmd.RegisterFlagCompletionFunc("source", cobra.FixedCompletions(core.LogSources(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// followed is the end of a command that goes on until Ctrl-C: being interrupted is its way to end.
func followed(cmd *cobra.Command, err error) error {
	if errors.Is(err, context.Canceled) && cmd.Context().Err() != nil {
		return nil
	}
	return err
}
