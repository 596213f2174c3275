package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/core"
)

func (s *session) serviceInstall() *cobra.Command {
	var status bool
	cmd := &cobra.Command{
		Use: "install", Short: "Start the service and the tray icon when you log in", Args: noArgs,
		Long: "Starts the service, its virtual machines and the tray icon whenever you log in, and prints the files that it has written.\n" +
			"It starts nothing now and needs no administrator rights. On Linux the service becomes a unit of your systemd user\n" +
			"manager, which also shuts it down when you log out; the tray icon becomes an autostart entry of the desktop.\n" +
			"To undo it, run: rdd svc uninstall",
	}
	only := addParts(cmd)
	output := addOutput(cmd)
	cmd.Flags().BoolVar(&status, "status", false, "show what starts at login without changing it")
	cmd.RunE = s.withCore(func(_ *cobra.Command, _ []string, c *core.Core) error {
		if status {
			return s.printLogin(*output, c.Login().Status())
		}
		all, err := c.Login().Install(*only...)
		if err != nil {
			return err
		}
		return s.printLogin(*output, all)
	})
	return cmd
}

func (s *session) serviceUninstall() *cobra.Command {
	cmd := &cobra.Command{
		Use: "uninstall", Short: "Stop starting the service and the tray icon when you log in", Args: noArgs,
		Long: "Undoes rdd svc install. Running programs continue; the instance, its virtual machines and RDD itself are kept.",
	}
	only := addParts(cmd)
	output := addOutput(cmd)
	cmd.RunE = s.withCore(func(_ *cobra.Command, _ []string, c *core.Core) error {
		all, err := c.Login().Uninstall(*only...)
		if err != nil {
			return err
		}
		return s.printLogin(*output, all)
	})
	return cmd
}

// addParts gives cmd a flag for what it is about.
func addParts(cmd *cobra.Command) *[]core.LoginPart {
	var parts []core.LoginPart
	var names []string
	for _, part := range core.LoginParts() {
		names = append(names, string(part))
	}
	cmd.Flags().Func("only", "service or tray (default: both)", func(value string) error {
		parts = append(parts, core.LoginPart(value)) // the core knows which there are
		return nil
	})
	_ = cmd.RegisterFlagCompletionFunc("only", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
	return &parts
}

func (s *session) printLogin(output outputFlag, all []core.LoginStatus) error {
	return s.print(output, all, func(w io.Writer) {
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
}
