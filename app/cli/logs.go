package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/core"
)

func (s *session) serviceLog() *cobra.Command {
	return s.logCommand(&cobra.Command{Use: "log", Aliases: []string{"logs"}, Short: "Print the service's log", Args: noArgs},
		func(ctx context.Context, _ []string, c *core.Core, follow bool) error {
			return c.Service().Log(ctx, s.Out, follow)
		})
}

func (s *session) vmLogs() *cobra.Command {
	cmd := &cobra.Command{Use: "logs NAME", Aliases: []string{"log"}, Short: "Print the log of a virtual machine", Args: exactArgs("NAME"), ValidArgsFunction: s.completeVM()}
	source := cmd.Flags().String("source", core.LogHostagent, "log to print: "+strings.Join(core.LogSources(), ", "))
	_ = cmd.RegisterFlagCompletionFunc("source", cobra.FixedCompletions(core.LogSources(), cobra.ShellCompDirectiveNoFileComp))
	return s.logCommand(cmd, func(ctx context.Context, args []string, c *core.Core, follow bool) error {
		return c.VMLog(ctx, s.Out, args[0], *source, follow)
	})
}

// logCommand completes a command that prints a log. With --follow it ends at Ctrl-C, without an error.
func (s *session) logCommand(cmd *cobra.Command, copyLog func(ctx context.Context, args []string, c *core.Core, follow bool) error) *cobra.Command {
	follow := cmd.Flags().BoolP("follow", "f", false, "keep printing new lines (Ctrl-C to stop)")
	cmd.RunE = s.withCore(func(cmd *cobra.Command, args []string, c *core.Core) error {
		err := copyLog(cmd.Context(), args, c, *follow)
		if errors.Is(err, context.Canceled) && cmd.Context().Err() != nil {
			return nil
		}
		return err
	})
	return cmd
}
