package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/kballard/go-shellquote"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rancherdesktop.io/rdd/core"
)

// Annotations of the commands that wait.
const (
	waitAgain  = "wait-again"   // the command that waits for the same thing again
	endsWithUs = "ends-with-us" // what ends together with the command; empty: the work continues without it
	undoes     = "undoes"       // a sentence with the command that undoes the work
	forces     = "forces"       // the command that powers off the guests that this command waits for
)

// Defaults of --timeout.
const (
	startTimeout = 90 * time.Second // start of the service
	workTimeout  = 5 * time.Minute  // everything else
)

// waitingRun is what a command does that waits with w.
type waitingRun func(cmd *cobra.Command, args []string, c *core.Core, w core.Wait) error

// waits gives cmd the flags --wait and --timeout, and makes run its RunE. again is the command that waits for the same
// thing again, with %s for the first argument.
func (s *session) waits(cmd *cobra.Command, timeout time.Duration, again string, run waitingRun) {
	wait := cmd.Flags().Bool("wait", true, "wait until the operation is done; --wait=false returns when it is accepted")
	s.waitsAlways(cmd, timeout, again, func(cmd *cobra.Command, args []string, c *core.Core, w core.Wait) error {
		w.Accepted = !*wait
		switch {
		case w.Accepted && cmd.Flags().Changed("timeout"):
			return usagef("--timeout can't be used with --wait=false")
		case w.Accepted && cmd.Annotations[endsWithUs] != "":
			return usagef("%s can't run in the background, because nothing continues its work; omit --wait=false", cmd.CommandPath())
		}
		return run(cmd, args, c, w)
	})
}

// waitsAlways is waits for a command that does nothing but wait.
func (s *session) waitsAlways(cmd *cobra.Command, timeout time.Duration, again string, run waitingRun) {
	cmd.Flags().DurationVar(&timeout, "timeout", timeout, "how long to wait, such as 90s or 5m; 0 waits forever")
	waitAgainWith(cmd, again)
	cmd.RunE = s.withCore(func(cmd *cobra.Command, args []string, c *core.Core) error {
		if timeout < 0 {
			return usagef("--timeout must not be negative; got %s (0 waits forever)", timeout)
		}
		s.progress = s.newProgress()
		defer s.endProgress()
		return run(cmd, args, c, core.Wait{Timeout: timeout, Progress: s.progress.event})
	})
}

// waitAgainWith replaces the annotations of cmd by the command that waits for the same thing again.
func waitAgainWith(cmd *cobra.Command, again string) {
	cmd.Annotations = map[string]string{waitAgain: again}
}

// endsWith says that the work of cmd ends together with it, so that it needs --wait. what is a sentence without its
// full stop.
func endsWith(cmd *cobra.Command, what string) { cmd.Annotations[endsWithUs] = what }

// forcedBy says that cmd waits for guests to shut down, and that force powers them off. force is a command, with %s
// for the first argument.
func forcedBy(cmd *cobra.Command, force string) { cmd.Annotations[forces] = force }

// forceHint is the sentence that says how to end a shutdown that takes too long, and what is lost then. It is empty
// when no guest was shutting down at the deadline.
func forceHint(cmd *cobra.Command, last core.Event) string {
	force := cmd.Annotations[forces]
	forced := cmd.Flag("force")
	if force == "" || forced != nil && forced.Changed || !last.Stopping() && cmd.Name() != "stop" && cmd.Name() != "delete" {
		return ""
	}
	what := "the virtual machine"
	switch {
	case strings.Contains(force, "%s"):
		what = "the guest"
	case strings.HasPrefix(force, "rdd svc "):
		what = "the virtual machines"
	}
	return fmt.Sprintf("To power off %s immediately and lose data that is not written to disk yet, run: %s\n", what, withName(cmd, force))
}

// undoneBy says how the work of cmd is undone: what is such as "delete the VM", undo is the command, with %s for the
// first argument.
func undoneBy(cmd *cobra.Command, what, undo string) {
	cmd.Annotations[undoes] = "To " + what + " instead, run: " + withName(cmd, undo) + "\n"
}

// withName replaces %s in the text of a command by the first argument of cmd.
func withName(cmd *cobra.Command, text string) string {
	return strings.ReplaceAll(text, "%s", cmd.Flags().Arg(0))
}

// commandLine is the command as the user typed it, without the flags of all commands and without --wait and --timeout.
func commandLine(cmd *cobra.Command) string {
	words := append(strings.Fields(cmd.CommandPath()), cmd.Flags().Args()...)
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if cmd.Root().PersistentFlags().Lookup(flag.Name) != nil {
			return
		}
		values := []string{flag.Value.String()}
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, value := range values {
			switch {
			case flag.Name == "timeout" || flag.Name == "wait":
			case flag.Value.Type() == "bool" && value == "true":
				words = append(words, "--"+flag.Name)
			default:
				words = append(words, "--"+flag.Name, value)
			}
		}
	})
	return shellquote.Join(words...)
}

// again is the end of a sentence. It says how to wait for the same thing again or, if the work has ended, how to run
// the command again. It is empty for a command that doesn't wait.
func again(cmd *cobra.Command, ended bool) string {
	again := cmd.Annotations[waitAgain]
	switch {
	case again == "":
		return ""
	case ended:
		return ". Run it again with: " + withName(cmd, again)
	}
	return ". Wait for it again with: " + withName(cmd, again)
}

// reportDone prints that the work is done or, if the command doesn't wait for it, that it is accepted.
func (s *session) reportDone(w core.Wait, done, accepted string) {
	if w.Accepted {
		done = accepted + " (not waiting for it to finish)"
	}
	s.printf("%s\n", done)
}

// printf prints a message for people to stderr, unless --progress is quiet or json.
func (s *session) printf(format string, a ...any) {
	s.endProgress()
	if s.progressMode != progressQuiet && s.progressMode != progressJSON {
		fmt.Fprint(s.Err, s.withInstance(fmt.Sprintf(format, a...)))
	}
}
