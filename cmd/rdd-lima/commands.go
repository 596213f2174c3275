package main

import (
	"context"
	"encoding/json"
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

func (f *flags) validate(cmd *cobra.Command, args []string) error {
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
}

func (f *flags) template(cmd *cobra.Command, args []string) error {
	b, err := template.Read(cmd.Context(), args[0])
	if err == nil {
		_, err = cmd.OutOrStdout().Write(b)
	}
	return err
}

func (f *flags) prepare(cmd *cobra.Command, args []string) error {
	job, err := event.ReadJob(cmd.InOrStdin())
	if err != nil {
		return err
	}
	o := vm.PrepareOptions{VM: f.vm(args[0]), Template: []byte(job.Template), Params: job.Params, DataDisk: job.DataDisk, ReplaceSystemDisk: job.ReplaceSystemDisk, Share: f.share, AsRoot: asRoot()}
	return report(cmd.Context(), func(ctx context.Context, w *event.Writer) error { return vm.Prepare(ctx, o, w) })
}

func (f *flags) hostagent(cmd *cobra.Command, args []string) error {
	return hostagent.Run(cmd.Context(), hostagent.Options{VM: f.vm(args[0]), Nonce: f.nonce, Lock: f.lock, Share: f.share, Acceleration: f.acceleration, Path: os.Getenv("PATH")})
}

func (f *flags) clear(cmd *cobra.Command, args []string) error {
	return report(cmd.Context(), func(ctx context.Context, w *event.Writer) error {
		say := func(m string) { _ = w.Write(event.Event{Phase: event.Leftover, Message: m}) }
		return vm.Clear(ctx, f.vm(args[0]), f.kill, say)
	})
}

func (f *flags) remove(cmd *cobra.Command, args []string) error {
	return report(cmd.Context(), func(ctx context.Context, _ *event.Writer) error { return vm.Remove(ctx, f.vm(args[0]), f.removal) })
}

func (f *flags) probe(cmd *cobra.Command, _ []string) error {
	acc, err := qemu.Accelerate(cmd.Context(), f.home, lima.NativeArch(), f.acceleration)
	if err != nil {
		return err
	}
	return json.NewEncoder(cmd.OutOrStdout()).Encode(acc)
}

func (f *flags) ssh(cmd *cobra.Command, args []string) error {
	o := f.shell
	// The guest's terminal turns line ends into CR LF and joins stderr with stdout, so a file or a pipe gets none.
	o.Command, o.Terminal = args[1:], isatty.IsTerminal(os.Stdin.Fd()) && isatty.IsTerminal(os.Stdout.Fd())
	o.Dir, _ = os.Getwd() // without one the shell starts in the home directory
	shell, err := ssh.Shell(cmd.Context(), f.vm(args[0]), o)
	if err != nil {
		return err
	}
	return proc.Become(shell)
}

// asRoot reports whether the guest needs its own user, because the host's user is root or a service's user.
func asRoot() bool {
	u, err := user.Current()
	return os.Geteuid() == 0 || err == nil && template.NeedsOwnUser(u)
}
