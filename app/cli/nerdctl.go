package cli

import (
	"time"

	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/core"
)

func (s *session) nerdctl() *cobra.Command {
	cmd := &cobra.Command{
		Use: "nerdctl [NERDCTL ARGS...]", Short: "Run nerdctl, the client of the engine containerd",
		Long: "Runs nerdctl in the App's virtual machine, as root, in the current directory if that is mounted there, and exits with its exit\n" +
			"code. Everything after nerdctl is passed to it, so put --instance before it; only `rdd nerdctl install` is a command of rdd.\n" +
			"The App must be running with the engine containerd. RDD doesn't come with nerdctl: install it first. This is rdd's help; for\n" +
			"nerdctl's own, use: rdd nerdctl help",
		DisableFlagParsing: true,
	}
	run := s.withCore(func(cmd *cobra.Command, args []string, c *core.Core) error {
		session, err := c.ConnectApp(cmd.Context())
		if err != nil {
			return err
		}
		nerdctl, err := c.Nerdctl().Command(cmd.Context(), session, args, func() {
			s.printf("copying nerdctl to the virtual machine; this happens once\n")
		})
		if err != nil {
			return err
		}
		return core.Become(nerdctl)
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 || len(args) == 1 && (args[0] == "--help" || args[0] == "-h") { // it needs no virtual machine
			return cmd.Help()
		}
		return run(cmd, args)
	}
	cmd.AddCommand(s.nerdctlInstall())
	return cmd
}

func (s *session) nerdctlInstall() *cobra.Command {
	cmd := &cobra.Command{
		Use: "install --from FILE|URL --digest sha256:HEX", Short: "Choose the archive that nerdctl comes from", Args: noArgs,
		Long: "Fetches an archive with nerdctl, such as nerdctl-full-VERSION-linux-amd64.tar.gz, from a file or an address, and keeps it if it has\n" +
			"the SHA-256 digest. The next `rdd nerdctl` copies it to the virtual machine. It changes nothing if the digest is another one.\n" +
			"Archives and their digests are on https://github.com/containerd/nerdctl/releases.",
	}
	from := cmd.Flags().String("from", "", "file or address of the archive")
	digest := cmd.Flags().String("digest", "", "digest of the archive: sha256: and 64 hexadecimal digits")
	_ = cmd.MarkFlagRequired("from")
	_ = cmd.MarkFlagRequired("digest")
	_ = cmd.RegisterFlagCompletionFunc("digest", cobra.NoFileCompletions)
	cmd.RunE = s.withCore(func(cmd *cobra.Command, _ []string, c *core.Core) error {
		s.progress = s.newProgress()
		defer s.endProgress()
		began := time.Now()
		err := c.Nerdctl().Install(cmd.Context(), *from, *digest, func(done, total int64) {
			s.progress.event(core.Event{
				Op: "install nerdctl", Object: "nerdctl", Phase: "download", Bytes: done, Total: total, Elapsed: time.Since(began), Message: "reading " + *from,
			})
		})
		if err != nil {
			return err
		}
		s.endProgress()
		s.printf("nerdctl is installed; use it with: rdd nerdctl\n")
		return nil
	})
	return cmd
}
