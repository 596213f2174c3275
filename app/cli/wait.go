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
	waitAgain  = "wait-again"   // the command with which to wait for the same thing again
	endsWithUs = "ends-with-us" // what ends with the command, where the work doesn't go on without it
	undoes     = "undoes"       // what the work of the command does, and the command that undoes it
	hurries    = "hurries"      // the command that ends guests by force, where the command waits for them to shut down
)

// Defaults of --timeout.
const (
	startTimeout = 90 * time.Second // start of the service
	workTimeout  = 5 * time.Minute  // everything else
)

// waitFlags are the flags of every command that changes a state.
type waitFlags struct {
	wait    bool
	timeout time.Duration
}

// addWait gives cmd the flags. again is the command line, with %s for the first argument, with
// which to wait for the same thing again.
func addWait(cmd *cobra.Command, timeout time.Duration, again string) *waitFlags {
	f := addTimeout(cmd, timeout, again)
	cmd.Flags().BoolVar(&f.wait, "wait", true, "wait until it is done; --wait=false returns when it is accepted")
	return f
}

// addTimeout is addWait for a command that only waits.
func addTimeout(cmd *cobra.Command, timeout time.Duration, again string) *waitFlags {
	f := &waitFlags{wait: true}
	cmd.Flags().DurationVar(&f.timeout, "timeout", timeout, "how long to wait, such as 90s or 5m; 0 waits forever")
	waitAgainWith(cmd, again)
	return f
}

// waitAgainWith says how to wait again for what cmd waits for.
func waitAgainWith(cmd *cobra.Command, again string) {
	cmd.Annotations = map[string]string{waitAgain: again}
}

// attended says of cmd that its work ends with it; ends is a sentence without its full stop.
func attended(cmd *cobra.Command, ends string) { cmd.Annotations[endsWithUs] = ends }

// hurriedBy says of cmd that it waits for guests to shut down. force is the command, with %s for the first
// argument, that ends them at once.
func hurriedBy(cmd *cobra.Command, force string) { cmd.Annotations[hurries] = force }

// forceHint is the sentence that says how to end a shutdown that takes too long, and what that loses. It is
// empty when no guest was shutting down at the deadline.
func forceHint(cmd *cobra.Command, last core.Event) string {
	force := cmd.Annotations[hurries]
	forced := cmd.Flag("force")
	if force == "" || forced != nil && forced.Changed || !last.Stopping() && cmd.Name() != "stop" && cmd.Name() != "delete" {
		return ""
	}
	what := "the virtual machines"
	if strings.Contains(force, "%s") {
		what, force = "the guest", strings.ReplaceAll(force, "%s", cmd.Flags().Arg(0))
	}
	return fmt.Sprintf("To power off %s immediately and lose data that is not written to disk yet, run: %s\n", what, force)
}

// undoneBy says of cmd how its work is undone, as in "delete the VM". undo is the command, with %s for the first argument.
func undoneBy(cmd *cobra.Command, what, undo string) {
	cmd.Annotations[undoes] = "To " + what + " instead, run: " + undo + "\n"
}

// undoHint is the sentence that says how to undo work that goes on.
func undoHint(cmd *cobra.Command) string {
	hint := cmd.Annotations[undoes]
	if hint == "" {
		return ""
	}
	return strings.ReplaceAll(hint, "%s", cmd.Flags().Arg(0))
}

// commandLine is the command as the user typed it, without the flags that every command has and those of the wait.
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

// waiting turns the flags into a Wait that shows progress. finish ends the showing.
func (s *session) waiting(cmd *cobra.Command, f *waitFlags) (w core.Wait, finish func(), err error) {
	switch {
	case f.timeout < 0:
		return w, nil, usagef("--timeout must not be negative; got %s (0 waits forever)", f.timeout)
	case !f.wait && cmd.Flags().Changed("timeout"):
		return w, nil, usagef("--timeout can't be used with --wait=false")
	}
	show := s.newProgress()
	return core.Wait{Timeout: f.timeout, Accepted: !f.wait, Progress: show.event}, show.finish, nil
}

// whileWaiting calls do with a Wait that f describes, and shows the progress until do returns.
func (s *session) whileWaiting(cmd *cobra.Command, f *waitFlags, do func(core.Wait) error) error {
	w, finish, err := s.waiting(cmd, f)
	if err != nil {
		return err
	}
	defer finish()
	return do(w)
}

// again is the sentence that says how to wait for the same thing again, or how to do it again where it
// has ended; empty when cmd waits for nothing.
func (p *Program) again(cmd *cobra.Command, ended bool) string {
	again := cmd.Annotations[waitAgain]
	if again == "" {
		return ""
	}
	again = strings.ReplaceAll(again, "%s", cmd.Flags().Arg(0))
	if ended {
		return ". Run it again with: " + again
	}
	return ". Wait for it again with: " + again
}

// said is what a command reports when it has been accepted, or is done.
func (s *session) said(f *waitFlags, done, accepted string) {
	if f.wait {
		s.sayf("%s\n", done)
		return
	}
	s.sayf("%s (not waiting for it to finish)\n", accepted)
}

// sayf writes a message for people to stderr, unless they asked for quiet.
func (s *session) sayf(format string, a ...any) {
	if s.progress != progressQuiet && s.progress != progressJSON {
		fmt.Fprint(s.Err, s.addressed(fmt.Sprintf(format, a...)))
	}
}
