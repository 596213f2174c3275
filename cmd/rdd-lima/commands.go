package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/user"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/lima/hostagent"
	"rancherdesktop.io/rdd/internal/lima/qemu"
	"rancherdesktop.io/rdd/internal/lima/ssh"
	"rancherdesktop.io/rdd/internal/lima/template"
	"rancherdesktop.io/rdd/internal/lima/vm"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/proc"
)

// nameVM is the name for which a template is checked when no VM is named.
const nameVM = "vm"

func validateCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "validate [VM] < JOB",
		Short: "Check a template and, if a VM is named, whether it fits that VM's disk; writes nothing",
		Args:  args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			job, err := event.ReadJob(cmd.InOrStdin())
			if err != nil {
				return err
			}
			return report(cmd.Context(), func(context.Context, *event.Writer) error {
				if len(args) == 1 {
					return template.ValidateChange(f.vm(args[0]), []byte(job.Template), job.Params, asRoot())
				}
				return template.Validate(f.vm(nameVM), []byte(job.Template), job.Params, asRoot())
			})
		},
	}
}

func templateCommand(*flags) *cobra.Command {
	return &cobra.Command{
		Use:   "template LOCATOR",
		Short: "Print a template from a file, a URL or template://NAME, with everything it refers to embedded",
		Args:  args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := template.Read(cmd.Context(), args[0])
			if err == nil {
				_, err = cmd.OutOrStdout().Write(b)
			}
			return err
		},
	}
}

func prepareCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:     "prepare VM < JOB",
		Short:   "Create or update a VM's disk and configuration",
		Args:    args(cobra.ExactArgs(1)),
		PreRunE: f.require("lima-home", "share"),
		RunE: func(cmd *cobra.Command, args []string) error {
			job, err := event.ReadJob(cmd.InOrStdin())
			if err != nil {
				return err
			}
			o := vm.PrepareOptions{VM: f.vm(args[0]), Template: []byte(job.Template), Params: job.Params, Share: f.share, AsRoot: asRoot()}
			return report(cmd.Context(), func(ctx context.Context, w *event.Writer) error { return vm.Prepare(ctx, o, w) })
		},
	}
}

func hostagentCommand(f *flags) *cobra.Command {
	var o hostagent.Options
	c := &cobra.Command{
		Use:     "hostagent VM",
		Short:   "Boot a VM and serve it until its guest powers off; an interrupt asks the guest to power off",
		Args:    args(cobra.ExactArgs(1)),
		PreRunE: f.require("lima-home", "share", "log-dir"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.VM, o.Share, o.Path = f.vm(args[0]), f.share, os.Getenv("PATH")
			return hostagent.Run(cmd.Context(), o)
		},
	}
	c.Flags().StringVar(&o.Nonce, "nonce", "", "identifies this run")
	accelerationFlag(c, &o.Acceleration)
	return c
}

func clearCommand(f *flags) *cobra.Command {
	var kill bool
	c := &cobra.Command{
		Use:     "clear VM",
		Short:   "End a QEMU that outlived its hostagent, and remove stale files",
		Args:    args(cobra.ExactArgs(1)),
		PreRunE: f.require("lima-home"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return report(cmd.Context(), func(ctx context.Context, w *event.Writer) error {
				say := func(m string) { _ = w.Write(event.Event{Phase: event.Leftover, Message: m}) }
				return vm.Clear(ctx, f.vm(args[0]), kill, say)
			})
		},
	}
	c.Flags().BoolVar(&kill, "kill", false, "end QEMU without asking the guest first; unwritten data is lost")
	return c
}

func removeCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:     "remove VM",
		Short:   "Remove the disk and configuration of a VM that doesn't run",
		Args:    args(cobra.ExactArgs(1)),
		PreRunE: f.require("lima-home"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return report(cmd.Context(), func(ctx context.Context, _ *event.Writer) error { return vm.Remove(ctx, f.vm(args[0])) })
		},
	}
}

func probeCommand(f *flags) *cobra.Command {
	var choice string
	c := &cobra.Command{
		Use:     "probe",
		Short:   "Check hardware acceleration by running a test guest",
		Args:    args(cobra.NoArgs),
		PreRunE: f.require("lima-home"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			acc, err := qemu.Accelerate(cmd.Context(), f.home, lima.NativeArch(), choice)
			if err != nil {
				return err
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(acc)
		},
	}
	accelerationFlag(c, &choice)
	return c
}

func sshCommand(f *flags) *cobra.Command {
	var o ssh.ShellOptions
	c := &cobra.Command{
		Use:     "ssh VM [-- COMMAND...]",
		Short:   "Open a shell in a running VM, or run a command there",
		Args:    args(cobra.MinimumNArgs(1)),
		PreRunE: f.require("lima-home"),
		RunE: func(cmd *cobra.Command, args []string) error {
			// The guest's terminal turns line ends into CR LF and joins stderr with stdout, so a file or a pipe gets none.
			o.Command, o.Terminal = args[1:], isatty.IsTerminal(os.Stdin.Fd()) && isatty.IsTerminal(os.Stdout.Fd())
			o.Dir, _ = os.Getwd() // without one the shell begins at home
			shell, err := ssh.Shell(cmd.Context(), f.vm(args[0]), o)
			if err != nil {
				return err
			}
			return proc.Become(shell)
		},
	}
	c.Flags().StringVar(&o.Shell, "shell", "", "shell to run in the guest")
	c.Flags().StringVar(&o.Workdir, "workdir", "", "working directory in the guest")
	c.Flags().DurationVar(&o.WaitTimeout, "patience", 0, "wait this long for a guest that may not answer yet")
	return c
}

func accelerationFlag(c *cobra.Command, choice *string) {
	c.Flags().StringVar(choice, "acceleration", qemu.Auto, fmt.Sprintf("%s, %s or %s", qemu.Auto, qemu.Hardware, qemu.Emulation))
}

// args turns a wrong number of arguments into a usage error.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{err}
		}
		return nil
	}
}

// asRoot reports whether the guest needs its own user, because the host's user is root or a service's user.
func asRoot() bool {
	u, err := user.Current()
	return os.Geteuid() == 0 || err == nil && template.NeedsOwnUser(u)
}
