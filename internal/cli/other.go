package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/core"
)

func (s *session) versionCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Print the version of rdd", Args: noArgs}
	output := addOutput(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		v := struct {
			Version string `json:"version"`
			Go      string `json:"go"`
			OS      string `json:"os"`
			Arch    string `json:"arch"`
		}{s.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH}
		return s.print(*output, v, func(w io.Writer) { fmt.Fprintf(w, "rdd %s (%s, %s/%s)\n", v.Version, v.Go, v.OS, v.Arch) })
	}
	return cmd
}

func (s *session) ctlCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "ctl [KUBECTL ARGS...]", Short: "Run kubectl against the instance's control plane",
		Long: "Runs kubectl against the instance's control plane. Everything after ctl is kubectl's, so --instance goes before it.\n" +
			"Only `rdd ctl wait-condition` is rdd's own.",
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := s.core()
			if err != nil {
				return err
			}
			kubectl, err := c.Service().Kubectl(args)
			if err != nil {
				return err
			}
			return core.Become(kubectl)
		},
	}
	cmd.AddCommand(s.waitCondition())
	return cmd
}

// followed is the end of a command that goes on until Ctrl-C: being interrupted is its way to end.
func followed(cmd *cobra.Command, err error) error {
	if errors.Is(err, context.Canceled) && cmd.Context().Err() != nil {
		return nil
	}
	return err
}
