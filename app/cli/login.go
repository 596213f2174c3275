package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/core"
)

func (s *session) serviceInstall() *cobra.Command {
	cmd := &cobra.Command{
		Use: "install", Short: "Start the service and the tray icon when you log in", Args: noArgs,
		Long: "Starts the service, its virtual machines and the tray icon whenever you log in, and prints the files that it has written.\n" +
			"It starts nothing now and needs no administrator rights. On Linux the service becomes a unit of your systemd user\n" +
			"manager, which also shuts it down when you log out; the tray icon becomes an autostart entry of the desktop.\n" +
			"To undo it, run: rdd svc uninstall",
	}
	status := cmd.Flags().Bool("status", false, "show what starts at login without changing it")
	return s.loginChange(cmd, func(l *core.Login, only ...core.LoginPart) ([]core.LoginStatus, error) {
		if *status {
			return l.Status(), nil
		}
		return l.Install(only...)
	})
}

func (s *session) serviceUninstall() *cobra.Command {
	return s.loginChange(&cobra.Command{
		Use: "uninstall", Short: "Do not start the service and the tray icon when you log in", Args: noArgs,
		Long: "Undoes rdd svc install. Running programs continue; the instance, its virtual machines and RDD itself are kept.",
	}, (*core.Login).Uninstall)
}

// loginChange completes a command that changes what starts at login, and prints what starts then.
func (s *session) loginChange(cmd *cobra.Command, change func(*core.Login, ...core.LoginPart) ([]core.LoginStatus, error)) *cobra.Command {
	var only []core.LoginPart
	cmd.Flags().Func("only", "`PART` that the command applies to: service or tray; can be repeated (default: both)", func(value string) error {
		only = append(only, core.LoginPart(value)) // core checks it
		return nil
	})
	var names []string
	for _, part := range core.LoginParts() {
		names = append(names, string(part))
	}
	_ = cmd.RegisterFlagCompletionFunc("only", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
	output := addOutput(cmd)
	cmd.RunE = s.withCore(func(_ *cobra.Command, _ []string, c *core.Core) error {
		all, err := change(c.Login(), only...)
		if err != nil {
			return err
		}
		return s.print(*output, all, func(w io.Writer) {
			for _, l := range all {
				state := "does not start at login"
				if l.Installed {
					state = "starts at login"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\n", l.Part, state, l.Path)
				if l.Note != "" {
					fmt.Fprintf(w, "\t\t%s\n", l.Note)
				}
			}
		})
	})
	return cmd
}
