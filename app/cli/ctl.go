package cli

import (
	"errors"
	"fmt"
	"os/exec"

	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/core"
)

func (s *session) ctlCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "ctl [KUBECTL ARGS...]", Short: "Run kubectl against the instance's control plane",
		Long: "Runs kubectl against the instance's control plane. Everything after ctl is passed to kubectl, so put --instance\n" +
			"before it. Only `rdd ctl wait-condition` is a command of rdd.",
		DisableFlagParsing: true,
		RunE: s.withCore(func(cmd *cobra.Command, args []string, c *core.Core) error {
			kubectl, err := c.Service().Kubectl(cmd.Context(), args)
			if err != nil {
				return err
			}
			unready := c.Service().Ready()
			if unready == nil {
				return core.Become(kubectl)
			}
			// Some kubectl commands need no server. If one fails, rdd adds the reason, which kubectl doesn't know.
			err = kubectl.Run()
			if _, failed := errors.AsType[*exec.ExitError](err); failed {
				fmt.Fprint(s.Err, s.withInstance(fmt.Sprintf("rdd: %v\n", unready)))
			}
			return err
		}),
	}
	cmd.AddCommand(s.waitCondition())
	return cmd
}
