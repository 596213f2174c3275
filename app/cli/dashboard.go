package cli

import (
	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/core"
)

func (s *session) dashboardCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "dashboard", Short: "Open RDD in a browser", Args: noArgs,
		Long: "Serves the page of RDD's window on the loopback interface, opens it in a browser and prints its address, which works\n" +
			"once. It does not start the service. Ctrl-C stops the page; operations that were started there continue.",
	}
	quiet := cmd.Flags().Bool("no-open", false, "print the address and don't open a browser")
	readOnly := cmd.Flags().Bool("read-only", false, "refuse all changes")
	cmd.RunE = s.withCore(func(_ *cobra.Command, _ []string, c *core.Core) error {
		page, err := c.Dashboard(!*quiet, *readOnly)
		if err != nil {
			return err
		}
		return core.Become(page)
	})
	return cmd
}
