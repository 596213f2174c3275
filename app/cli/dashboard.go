package cli

import (
	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/core"
)

func (s *session) dashboardCommand() *cobra.Command {
	var quiet, readOnly bool
	cmd := &cobra.Command{
		Use: "dashboard", Short: "Show the window's page in a browser", Args: noArgs,
		Long: "Serves the page of RDD's window on this computer's loopback, opens it in a browser and prints its address, which is good\n" +
			"for one visit. Nothing is started by looking. Ctrl-C ends the page; what was begun there goes on.",
		RunE: s.withCore(func(_ *cobra.Command, _ []string, c *core.Core) error {
			page, err := c.Dashboard(!quiet, readOnly)
			if err != nil {
				return err
			}
			return core.Become(page)
		}),
	}
	cmd.Flags().BoolVar(&quiet, "no-open", false, "print the address, open no browser")
	cmd.Flags().BoolVar(&readOnly, "read-only", false, "refuse what changes anything")
	return cmd
}
