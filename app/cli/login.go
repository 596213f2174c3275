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
		Long: "Makes the service, with the virtual machines that are to run, and the tray icon start when you log in, and says\n" +
			"where it put what. Nothing is started now, and nothing needs an administrator. On Linux the service becomes a unit\n" +
			"of your own systemd, which also stops it in order when you log out; the tray icon becomes an autostart entry of\n" +
			"the desktop. Undo it with: rdd svc uninstall",
	}
	only := addParts(cmd)
	output := addOutput(cmd)
	cmd.Flags().BoolVar(&status, "status", false, "only say what starts at login now; change nothing")
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
		Use: "uninstall", Short: "No longer start the service and the tray icon when you log in", Args: noArgs,
		Long: "Undoes rdd svc install. What runs goes on; the instance, its virtual machines and RDD itself stay.",
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
	cmd.Flags().Func("only", "only the service, or only the tray (default: both)", func(value string) error {
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
