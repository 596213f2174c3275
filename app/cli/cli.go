// Package cli is the rdd command: a command tree over the core. It alone turns the kinds of
// errors into exit codes and messages for a terminal; only main exits.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/diagnose"
)

// Program is what the rdd command needs from the outside.
type Program struct {
	Version  string
	Commit   string // that it was built from; may be empty
	Built    string // when, in UTC as RFC 3339 has it; may be empty
	In       io.Reader
	Out, Err io.Writer
	Terminal bool // Err is a terminal

	// Edit lets the user edit a file, and returns when the editor has ended.
	Edit func(path string) error

	// Open resolves the instance of that name; empty means the default.
	Open func(instance string) (*core.Core, error)
}

// Exit codes, as the contract names them.
const (
	exitOK           = 0
	exitOther        = 1
	exitUsage        = 2
	exitRejected     = 3
	exitTimeout      = 4
	exitIncompatible = 5
	exitStopped      = 6
	exitChanging     = 7
	exitBroken       = 8
	exitNotCreated   = 9
	exitInterrupted  = 130
)

// Run carries out args and returns the exit code. What it has to say about a failure is on Err.
func (p *Program) Run(ctx context.Context, args []string) int {
	root := p.Command()
	root.SetArgs(args)
	begun := false
	root.PersistentPreRun = func(*cobra.Command, []string) { begun = true }
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !begun { // what fails before the command begins is wrong with the command line
		err = &usageError{err}
	}
	return p.finish(cmd, err)
}

// session is one command under way: the flags that every command has, and what they lead to.
type session struct {
	*Program
	root     *cobra.Command
	instance string
	progress progressMode
	logLevel string // empty: none was given
}

func (s *session) core() (*core.Core, error) {
	c, err := s.Open(s.instance)
	if err != nil {
		return nil, err
	}
	return c.Logging(s.logLevel, s.Err), nil
}

// withCore is the RunE of a command that needs the instance's core.
func (s *session) withCore(run func(cmd *cobra.Command, args []string, c *core.Core) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := s.core()
		if err != nil {
			return err
		}
		return run(cmd, args, c)
	}
}

// Command is the command tree. Run carries it out; the reference pages are written from it.
func (p *Program) Command() *cobra.Command {
	s := &session{Program: p, progress: progressAuto}
	root := &cobra.Command{
		Use:           "rdd",
		Short:         "Run virtual machines and the container engine inside them",
		Long:          "rdd runs virtual machines, and the container engine inside them, through a background service.\n\nBegin with:\n  rdd svc start                            start the service\n  rdd vm create NAME TEMPLATE --start      create and boot a virtual machine\n  rdd vm shell NAME                        open a shell in it",
		SilenceErrors: true,
		// The flags before ctl are ours, those after it are kubectl's.
		TraverseChildren: true,
		SilenceUsage:     true,
		Args:             noArgs,
	}
	// Not cobra's own version flag: its template links text/template, which costs 3 MB.
	showVersion := root.Flags().Bool("version", false, "print the version of rdd")
	root.RunE = func(cmd *cobra.Command, _ []string) error {
		if *showVersion {
			_, err := fmt.Fprintln(p.Out, p.version())
			return err
		}
		return cmd.Help()
	}
	s.root = root
	root.SetOut(p.Out)
	root.SetErr(p.Err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.PersistentFlags().StringVar(&s.instance, "instance", "", `instance to use (default: $RDD_INSTANCE, or "default")`)
	root.PersistentFlags().Var(&s.progress, "progress", "how to show progress: auto, tty, plain, json or quiet")
	_ = root.RegisterFlagCompletionFunc("instance", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		names, _ := core.Instances()
		return names, cobra.ShellCompDirectiveNoFileComp
	})
	_ = root.RegisterFlagCompletionFunc("progress", cobra.FixedCompletions(progressModes(), cobra.ShellCompDirectiveNoFileComp))
	root.PersistentFlags().Var(choice{&s.logLevel, "LEVEL", core.LogLevels()}, "log-level", "minimum log level: error, warn, info or debug. It is for a service that this command starts, and for rdd itself, which\nprints only debug messages, on stderr (default: $RDD_LOG_LEVEL, else the level stored by rdd svc create --log-level, else info)")
	_ = root.RegisterFlagCompletionFunc("log-level", cobra.FixedCompletions(core.LogLevels(), cobra.ShellCompDirectiveNoFileComp))
	root.AddCommand(s.serviceCommand(), s.vmCommand(), s.ctlCommand(), s.diagnoseCommand(), s.dashboardCommand(), s.versionCommand())
	return root
}

// usageError is a command line that makes no sense.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, a ...any) error { return &usageError{fmt.Errorf(format, a...)} }

// exitStatus ends the command with a code and nothing more to say.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// exactArgs is cobra's check as a usage error that names what is wanted.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		return usagef("%s requires %s, %s; got %d", cmd.CommandPath(), count(len(names), "argument"), strings.Join(names, " "), len(args))
	}
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasSubCommands() {
		cmd.SuggestionsMinimumDistance = 2 // what cobra itself uses
		if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
			return usagef("unknown command %q for %q; did you mean %s?", args[0], cmd.CommandPath(), strings.Join(similar, " or "))
		}
		return usagef("unknown command %q for %q", args[0], cmd.CommandPath())
	}
	return usagef("%s takes no arguments; got %q", cmd.CommandPath(), args)
}

// addressed adds --instance to each command of rdd that text mentions, if the user has named an instance.
// root has the names of the commands.
func addressed(root *cobra.Command, text, instance string) string {
	if instance == "" {
		return text
	}
	var names []string
	for _, cmd := range root.Commands() {
		names = append(names, cmd.Name())
		names = append(names, cmd.Aliases...)
	}
	command := regexp.MustCompile("(^|[\\s`(])rdd (" + strings.Join(names, "|") + ")\\b")
	return command.ReplaceAllString(text, "${1}rdd --instance "+instance+" ${2}")
}

// addressed is the function of this name, for the instance of this command.
func (s *session) addressed(text string) string { return addressed(s.root, text, s.instance) }

// finish says what went wrong and returns the exit code for it.
func (p *Program) finish(cmd *cobra.Command, err error) int {
	say := func(format string, a ...any) {
		fmt.Fprint(p.Err, addressed(cmd.Root(), fmt.Sprintf(format, a...), cmd.Root().PersistentFlags().Lookup("instance").Value.String()))
	}
	var status exitStatus
	var child *exec.ExitError
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &status):
		return int(status)
	case errors.As(err, &child):
		return child.ExitCode()
	case errors.As(err, &usage):
		fmt.Fprintf(p.Err, "rdd: %v\nSee: %s --help\n", err, cmd.CommandPath())
		return exitUsage
	}
	ends := cmd.Annotations[endsWithUs]
	if core.NothingBegan(err) {
		ends = "nothing was begun"
		waitAgainWith(cmd, commandLine(cmd))
	}
	switch kind := core.KindOf(err); kind {
	case core.Canceled:
		what := "only the waiting has ended; work that was accepted goes on"
		if ends != "" {
			what = ends
		}
		say("rdd: interrupted: %s%s\n%s", what, p.again(cmd, ends != ""), undoHint(cmd))
		return exitInterrupted
	case core.Timeout:
		say("rdd: %v\n", err)
		var expired *core.Expired
		if errors.As(err, &expired) { // else it was no wait that ended, but work
			what := "the work goes on"
			if ends != "" {
				what = ends
			}
			say("%s%s%s\n%s%s", strings.ToUpper(what[:1]), what[1:], p.again(cmd, ends != ""), forceHint(cmd, expired.Last), undoHint(cmd))
		}
		return exitTimeout
	default:
		say("rdd: %v\n", err)
		if advice := diagnose.Advice(err); advice != "" {
			say("%s\n", advice)
		}
		return exitCode(kind)
	}
}

func exitCode(kind core.Kind) int {
	switch kind {
	case core.Usage:
		return exitUsage
	case core.Rejected:
		return exitRejected
	case core.Timeout:
		return exitTimeout
	case core.Incompatible:
		return exitIncompatible
	case core.Canceled:
		return exitInterrupted
	default:
		return exitOther
	}
}
