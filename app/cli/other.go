package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"

	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/core"
)

func (s *session) versionCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Print the version of rdd", Args: noArgs}
	output := addOutput(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		v := s.version()
		return s.print(*output, v, func(w io.Writer) { fmt.Fprintln(w, v) })
	}
	return cmd
}

// version is what rdd says of its own build.
type version struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Built   string `json:"buildDate,omitempty"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func (p *Program) version() version {
	return version{p.Version, p.Commit, p.Built, runtime.Version(), runtime.GOOS, runtime.GOARCH}
}

func (v version) String() string {
	return fmt.Sprintf("rdd %s (%s, %s/%s)", v.Version, v.Go, v.OS, v.Arch)
}

func (s *session) ctlCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "ctl [KUBECTL ARGS...]", Short: "Run kubectl against the instance's control plane",
		Long: "Runs kubectl against the instance's control plane. Everything after ctl is kubectl's, so --instance goes before it.\n" +
			"Only `rdd ctl wait-condition` is rdd's own.",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.core()
			if err != nil {
				return err
			}
			kubectl, err := c.Service().Kubectl(cmd.Context(), args)
			if err != nil {
				return err
			}
			unready := c.Service().Ready()
			if unready == nil {
				return core.Become(kubectl)
			}
			// Some of what kubectl does needs no server. What fails gets the reason that kubectl can't know.
			err = kubectl.Run()
			if _, failed := errors.AsType[*exec.ExitError](err); failed {
				fmt.Fprint(s.Err, addressed(fmt.Sprintf("rdd: %v\n", unready), s.instance))
			}
			return err
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
