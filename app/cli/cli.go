// Package cli is the rdd command: a tree of commands over package core. It turns errors into exit codes and messages
// for a terminal. Only main exits.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/diagnose"
)

// Program is what the rdd command needs from its environment.
type Program struct {
	Version  string
	Commit   string // that it was built from; may be empty
	Built    string // date of the build, in UTC as in RFC 3339; may be empty
	In       io.Reader
	Out, Err io.Writer
	Terminal bool // Err is a terminal
	Asks     bool // In and Err are terminals, so that a question gets an answer

	TerminalOut bool // Out is a terminal

	// Environ is the environment, as NAME=VALUE.
	Environ []string

	// Edit lets the user edit a file, and returns when the editor has ended.
	Edit func(path string) error

	// Open resolves the instance of that name; empty means the default.
	Open func(instance string) (*core.Core, error)
}

// The exit codes. Scripts rely on them.
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

// exitCodes has the exit codes of errors; that of other kinds is exitOther.
var exitCodes = map[core.Kind]int{core.Usage: exitUsage, core.Rejected: exitRejected, core.Incompatible: exitIncompatible}

// Run runs the command line args and returns the exit code. It prints errors to Err.
func (p *Program) Run(ctx context.Context, args []string) int {
	root := p.Command()
	root.SetArgs(args)
	begun := false
	root.PersistentPreRun = func(*cobra.Command, []string) { begun = true }
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !begun { // an error before the command begins is one of the command line
		err = &usageError{err}
	}
	return p.finish(cmd, err)
}

// session is one run of a command: the flags that every command has, and its progress.
type session struct {
	*Program
	root         *cobra.Command
	instance     string
	progressMode string
	logLevel     string // empty: not set

	progress progress // of a command that waits; nil before it begins
}

func (s *session) core() (*core.Core, error) {
	c, err := s.Open(s.instance)
	if err != nil {
		return nil, err
	}
	return c.Logging(s.logLevel, s.Err), nil
}

// withCore returns the RunE of a command that needs the instance's core.
func (s *session) withCore(run func(cmd *cobra.Command, args []string, c *core.Core) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := s.core()
		if err != nil {
			return err
		}
		return run(cmd, args, c)
	}
}

// completionTimeout bounds what a press of the Tab key waits for.
const completionTimeout = time.Second

// completes returns a completion that asks the running service. A word of find that ends in = or / is one that the
// user completes.
func (s *session) completes(find func(ctx context.Context, session *core.Session, args []string, typed string) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		c, err := s.core()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		session, err := c.Connect(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		words := find(ctx, session, args, typed)
		if len(words) > 0 && strings.ContainsAny(words[0][len(words[0])-1:], "=/") {
			return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// Command returns the command tree, which Run runs and from which the reference pages are generated.
func (p *Program) Command() *cobra.Command {
	s := &session{Program: p, progressMode: progressAuto}
	root := &cobra.Command{
		Use:   "rdd",
		Short: "Run containers, and virtual machines, on this computer",
		Long: "rdd runs a container engine for docker in a virtual machine, and other virtual machines beside it.\n\nTo get started:\n" +
			"  rdd start                     start the container engine\n" +
			"  rdd run docker run IMAGE      run a container in it\n" +
			"  rdd status                    show what runs\n" +
			"  rdd set                       show the settings that can be changed",
		SilenceErrors: true,
		// Flags before ctl are those of rdd, flags after it are those of kubectl.
		TraverseChildren: true,
		SilenceUsage:     true,
		Args:             noArgs,
	}
	// cobra's own version flag is not used: its template needs text/template, which adds 3 MB to the program.
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
	global := root.PersistentFlags()
	global.StringVar(&s.instance, "instance", "", `instance to use (default: $RDD_INSTANCE, or "default")`)
	_ = root.RegisterFlagCompletionFunc("instance", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		names, _ := core.Instances()
		return names, cobra.ShellCompDirectiveNoFileComp
	})
	modes := []string{progressAuto, progressTTY, progressPlain, progressJSON, progressQuiet}
	addChoice(root, global, &s.progressMode, "progress", "", "MODE", modes, "how to show progress: auto, tty, plain, json or quiet")
	addChoice(root, global, &s.logLevel, "log-level", "", "LEVEL", core.LogLevels(), "minimum log level of a service that this command starts: error, warn, info or debug. With debug, rdd also prints its own\ndebug messages to stderr (default: $RDD_LOG_LEVEL, else the level stored by rdd svc create --log-level, else info)")
	root.AddGroup(&cobra.Group{ID: groupApp, Title: "Containers:"}, &cobra.Group{ID: groupParts, Title: "Virtual machines and the service:"},
		&cobra.Group{ID: groupOther, Title: "Other commands:"})
	root.SetHelpCommandGroupID(groupOther)
	root.SetCompletionCommandGroupID(groupOther)
	addGroup(root, groupApp, s.appStart(), s.appStop(), s.appRestart(), s.appStatus(), s.appSet(), s.appRun(), s.appShell(), s.nerdctl(), s.shellProfile(), s.appReset(), s.appDelete())
	addGroup(root, groupParts, s.serviceCommand(), s.vmCommand(), s.ctlCommand())
	addGroup(root, groupOther, s.diagnoseCommand(), s.dashboardCommand(), s.versionCommand())
	return root
}

// The groups of commands in the help.
const (
	groupApp   = "app"
	groupParts = "parts"
	groupOther = "other"
)

func addGroup(root *cobra.Command, id string, commands ...*cobra.Command) {
	for _, cmd := range commands {
		cmd.GroupID = id
	}
	root.AddCommand(commands...)
}

// usageError is an error in the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, a ...any) error { return &usageError{fmt.Errorf(format, a...)} }

// exitStatus ends the command with an exit code and prints nothing.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// exactArgs requires one argument for each name.
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
	if !cmd.HasSubCommands() {
		return usagef("%s takes no arguments; got %q", cmd.CommandPath(), args)
	}
	cmd.SuggestionsMinimumDistance = 2 // cobra's own default
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		return usagef("unknown command %q for %q; did you mean %s?", args[0], cmd.CommandPath(), strings.Join(similar, " or "))
	}
	return usagef("unknown command %q for %q", args[0], cmd.CommandPath())
}

// withInstance adds --instance to each command of rdd in the text if the user has set that flag. root has the commands.
func withInstance(root *cobra.Command, text, instance string) string {
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

func (s *session) withInstance(text string) string { return withInstance(s.root, text, s.instance) }

// finish prints what went wrong and what to do, and returns the exit code.
func (p *Program) finish(cmd *cobra.Command, err error) int {
	printf := func(format string, a ...any) {
		fmt.Fprint(p.Err, withInstance(cmd.Root(), fmt.Sprintf(format, a...), cmd.Flag("instance").Value.String()))
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
		ends = "nothing was done"
		waitAgainWith(cmd, commandLine(cmd))
	}
	kind := core.KindOf(err)
	if kind == core.Canceled {
		what := cmp.Or(ends, "stopped waiting; an accepted operation continues in the background")
		printf("rdd: interrupted: %s%s\n%s", what, again(cmd, ends != ""), cmd.Annotations[undoes])
		return exitInterrupted
	}
	printf("rdd: %v\n", err)
	if kind == core.Timeout {
		if expired, ok := errors.AsType[*core.Expired](err); ok { // else a timeout of the work itself, not of the wait
			what := cmp.Or(ends, "the operation continues in the background")
			printf("%s%s%s\n%s%s", strings.ToUpper(what[:1]), what[1:], again(cmd, ends != ""), forceHint(cmd, expired.Last), cmd.Annotations[undoes])
		}
		return exitTimeout
	}
	if advice := diagnose.Advice(err); advice != "" {
		printf("%s\n", advice)
	}
	return cmp.Or(exitCodes[kind], exitOther)
}
