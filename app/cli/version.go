package cli

import (
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"
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

// version describes the build of rdd. Scripts rely on its JSON.
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
