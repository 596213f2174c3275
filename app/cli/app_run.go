package cli

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/kballard/go-shellquote"
	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/core"
)

// The exit codes of rdd run for a command that doesn't run, as shells and docker have them.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

func (s *session) appRun() *cobra.Command {
	var o core.RunOptions
	cmd := &cobra.Command{
		Use: "run COMMAND [ARGUMENT...]", Short: "Run a command, such as docker, that uses the container engine",
		Long: "Runs a command whose docker commands use the App, and exits with its exit code. It starts the App if it isn't running.\n" +
			"Only the environment of the command differs, and nothing of yours is changed:\n" +
			"  DOCKER_CONTEXT   the docker context of the App; other variables for docker, such as DOCKER_HOST, are removed\n" +
			"  CONTAINERD_ADDRESS   the socket of containerd, for its clients, if that is the engine\n" +
			"  PATH             also has the tools that come with RDD, after your own; with --bundled, before them\n" +
			"If your docker has no plugin compose or buildx, RDD's docker runs the commands of that plugin.\n" +
			"KUBECONFIG is not set, because the App has no Kubernetes cluster yet: rdd run kubectl acts on your own cluster.\n\n" +
			"For example:\n" +
			"  rdd run docker run --rm -it IMAGE\n" +
			"  rdd run docker compose up\n" +
			"  rdd run --docker-host mvn verify      a program that knows no docker contexts\n\n" +
			"The exit code is 127 if there is no such command, and 126 if it can't be run.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("%s requires a COMMAND", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
	}
	cmd.Flags().BoolVar(&o.Bundled, "bundled", false, "prefer the tools that come with RDD to those in your PATH")
	cmd.Flags().BoolVar(&o.Host, "docker-host", false, "set DOCKER_HOST to the engine's socket instead of DOCKER_CONTEXT")
	cmd.Flags().SetInterspersed(false) // flags after COMMAND are the command's
	s.waitsAlways(cmd, workTimeout, "rdd start", func(cmd *cobra.Command, args []string, c *core.Core, w core.Wait) error {
		_, err := core.FindProgram(args[0], c.RunEnvironment(s.Environ, o))
		if err != nil && !c.HasTool(args[0]) { // a typing error starts nothing
			return s.notRun(args[0], err)
		}
		if err := s.ensureApp(cmd, c, w); err != nil {
			return err
		}
		env := c.RunEnvironment(s.Environ, o) // the start may have linked the tools and created the docker context
		path, err := c.FindCommand(cmd.Context(), args, env)
		if err != nil {
			return s.notRun(args[0], err)
		}
		child := exec.Command(path, args[1:]...)
		child.Args[0], child.Env = args[0], env
		s.endProgress()
		err = core.Become(child)
		if _, ran := errors.AsType[*exec.ExitError](err); ran || err == nil {
			return err
		}
		return s.notRun(args[0], errors.Join(core.ErrNotExecutable, err))
	})
	return cmd
}

// notRun is the error of a command that was not run, with the exit code that a shell would have.
func (s *session) notRun(command string, err error) error {
	switch {
	case errors.Is(err, exec.ErrNotFound):
		fmt.Fprintf(s.Err, "rdd: there is no command %q in PATH\n", command)
		return exitStatus(exitNotFound)
	case errors.Is(err, core.ErrNotExecutable):
		fmt.Fprintf(s.Err, "rdd: %q can't be run: %v\n", command, strings.ReplaceAll(err.Error(), "\n", ": "))
		return exitStatus(exitNotExecutable)
	}
	return err
}

// ensureApp starts the App if it doesn't run with all its settings.
func (s *session) ensureApp(cmd *cobra.Command, c *core.Core, w core.Wait) error {
	ctx := cmd.Context()
	if session, err := c.Connect(ctx); err == nil && s.appRuns(ctx, session) {
		return nil
	}
	session, w, err := ensureSession(cmd, c, w)
	if err != nil {
		return err
	}
	return session.App().Start(ctx, w)
}

func (s *session) appShell() *cobra.Command {
	var o core.ShellOptions
	cmd := &cobra.Command{
		Use: "shell [-- COMMAND...]", Short: "Open a shell, or run a command, in the virtual machine of the container engine",
		Long: "Opens a login shell in the App's virtual machine, or runs COMMAND there and exits with its exit code, as rdd vm shell does.\n" +
			"It starts nothing. What you change there outside of images, containers and volumes is lost by rdd reset, and when a\n" +
			"newer version of RDD brings a new system disk.",
		RunE: s.withCore(func(cmd *cobra.Command, args []string, c *core.Core) error {
			session, err := c.ConnectApp(cmd.Context())
			if err != nil {
				return err
			}
			o.Command = args
			shell, err := session.VMs().Shell(cmd.Context(), core.AppVM, o)
			if core.KindOf(err) == core.NotFound {
				return core.ErrNoApp
			}
			if err != nil {
				return err
			}
			return core.Become(shell)
		}),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	addShellFlags(cmd, &o)
	return cmd
}

// shells are the shells that shell-profile knows.
var shells = []string{"bash", "zsh", "fish", "powershell"}

func (s *session) shellProfile() *cobra.Command {
	cmd := &cobra.Command{
		Use: "shell-profile SHELL", Short: "Print lines for the profile of your shell: PATH and completion",
		Long: "Prints commands for the profile of a shell: bash, zsh, fish or powershell. They add the tools that come with RDD to PATH,\n" +
			"after your own, and complete the commands of rdd. Add this line to the profile:\n" +
			"  eval \"$(rdd shell-profile bash)\"                                      in ~/.bashrc\n" +
			"  eval \"$(rdd shell-profile zsh)\"                                       in ~/.zshrc, after compinit\n" +
			"  rdd shell-profile fish | source                                       in ~/.config/fish/config.fish\n" +
			"  rdd shell-profile powershell | Out-String | Invoke-Expression         in $PROFILE",
		Args:              exactArgs("SHELL"),
		ValidArgsFunction: cobra.FixedCompletions(shells, cobra.ShellCompDirectiveNoFileComp),
	}
	bundled := cmd.Flags().Bool("bundled", false, "put the tools that come with RDD before your own")
	cmd.RunE = s.withCore(func(_ *cobra.Command, args []string, c *core.Core) error {
		if !slices.Contains(shells, args[0]) {
			return usagef("unknown shell %q; must be one of %s", args[0], strings.Join(shells, ", "))
		}
		program, err := c.Instance().CLI()
		if err != nil {
			program = "rdd"
		}
		_, err = fmt.Fprint(s.Out, profile(args[0], c.Instance().ToolsDir(), program, *bundled))
		return err
	})
	return cmd
}

// profile returns commands of a shell that add a folder to PATH, once, and load the completion of the program rdd.
func profile(shell, tools, program string, bundled bool) string {
	switch shell {
	case "fish":
		where := "--append"
		if bundled {
			where = "--prepend --move"
		}
		return fmt.Sprintf("fish_add_path --path %s %s\n%s completion fish | source\n", where, quoteFish(tools), quoteFish(program))
	case "powershell":
		joined := "$env:PATH + [IO.Path]::PathSeparator + " + quotePowerShell(tools)
		if bundled {
			joined = quotePowerShell(tools) + " + [IO.Path]::PathSeparator + $env:PATH"
		}
		return fmt.Sprintf("if (-not (($env:PATH -split [IO.Path]::PathSeparator) -contains %s)) { $env:PATH = %s }\n& %s completion powershell | Out-String | Invoke-Expression\n",
			quotePowerShell(tools), joined, quotePowerShell(program))
	}
	quoted := shellquote.Join(tools)
	joined := `"$PATH":` + quoted
	if bundled {
		joined = quoted + `:"$PATH"`
	}
	completion := fmt.Sprintf("eval \"$(%s completion %s)\"", shellquote.Join(program), shell)
	if shell == "zsh" { // it has no completion before compinit
		completion = "(( $+functions[compdef] )) && " + completion
	}
	return fmt.Sprintf("case \":$PATH:\" in\n*:%s:*) ;;\n*) export PATH=%s ;;\nesac\n%s\n", quoted, joined, completion)
}

func quoteFish(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(text) + "'"
}

func quotePowerShell(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
