// Command rdd-lima is the part of RDD that uses Lima. The service runs it, one process for each job, and
// `rdd vm shell` does. Under the names ssh and qemu-system-* it is the wrapper that its hostagent starts in
// place of these programs.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/lima/qemu"
	"rancherdesktop.io/rdd/internal/lima/ssh"
	"rancherdesktop.io/rdd/internal/lima/template"
	"rancherdesktop.io/rdd/internal/lima/vm"
	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/machine/layout"
	"rancherdesktop.io/rdd/internal/proc"
)

// Exit codes, for people and scripts. The service reads the last line of the events instead.
const (
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3 // a *lima.PermanentError: the template is refused, or the host lacks something
)

// cancelGrace is how long canceled work may take to remove its incomplete files before this process ends anyway. The
// next run completes what is left.
const cancelGrace = 3 * time.Second

func main() { os.Exit(run()) }

func run() int {
	if code, ok := runWrapper(); ok {
		return code
	}
	ctx, stop, err := proc.Interruptible(context.Background())
	if err == nil {
		defer stop()
		err = proc.EndWithParent(os.Getenv(proc.EnvTether))
	}
	if err == nil {
		err = command().ExecuteContext(ctx)
	}
	if code, guarded := errors.AsType[guardedCode](err); guarded {
		return int(code)
	}
	if err == nil {
		return 0
	}
	if !errors.Is(err, errReported) {
		fmt.Fprintln(os.Stderr, "rdd-lima:", err)
	}
	if _, usage := errors.AsType[*usageError](err); usage {
		return exitUsage
	}
	if _, refused := errors.AsType[*lima.PermanentError](err); refused {
		return exitRefused
	}
	return exitFailed
}

// errReported marks an error that is on stdout already.
var errReported = errors.New("reported")

// guardedCode is the exit code of a guarded program.
type guardedCode int

func (c guardedCode) Error() string { return fmt.Sprintf("it ended with exit code %d", int(c)) }

// usageError is a wrong command line.
type usageError struct{ error }

// flags are the flags of all commands.
type flags struct {
	home, share, logs string
	nonce, lock       string
	acceleration      string
	kill              bool
	removal           vm.RemoveOptions
	shell             ssh.ShellOptions
}

// vm returns the layout of the VM called name.
func (f *flags) vm(name string) layout.VM {
	return layout.VM{Home: f.home, Name: name, Logs: f.logs}
}

func command() *cobra.Command {
	f := &flags{}
	root := &cobra.Command{
		Use:           "rdd-lima",
		Short:         "Run virtual machines through Lima, for RDD",
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		PersistentPreRunE: func(*cobra.Command, []string) error { return f.apply() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.PersistentFlags().StringVar(&f.home, "lima-home", "", "Lima's home directory")
	root.PersistentFlags().StringVar(&f.share, "share", "", "directory of files that ship with RDD, such as guest agents and templates")
	root.PersistentFlags().StringVar(&f.logs, "log-dir", "", "directory of the VM's logs")

	one := cobra.ExactArgs(1)
	agent := f.command("hostagent VM", "Boot a VM and serve it until its guest powers off; an interrupt asks the guest to power off", one, f.hostagent, "lima-home", "share", "log-dir")
	agent.Flags().StringVar(&f.nonce, "nonce", "", "identifies this run")
	agent.Flags().StringVar(&f.lock, "lock", "", "the hostagent's lock that this process inherits; empty: it takes the lock")
	clearing := f.command("clear VM", "End a QEMU that outlived its hostagent, and remove stale files", one, f.clear, "lima-home")
	clearing.Flags().BoolVar(&f.kill, "kill", false, "end QEMU without asking the guest first; unwritten data is lost")
	probe := f.command("probe", "Check hardware acceleration by running a test guest", cobra.NoArgs, f.probe, "lima-home")
	for _, c := range []*cobra.Command{agent, probe} {
		c.Flags().StringVar(&f.acceleration, "acceleration", qemu.Auto, fmt.Sprintf("%s, %s or %s", qemu.Auto, qemu.Hardware, qemu.Emulation))
	}
	remove := f.command("remove VM", "Remove the disks and configuration of a VM that doesn't run", one, f.remove, "lima-home")
	remove.Flags().BoolVar(&f.removal.KeepData, "keep-data", false, "keep the data disk")
	remove.Flags().BoolVar(&f.removal.KeepImages, "keep-images", false, "keep the images that no other VM uses")
	shell := f.command("ssh VM [-- COMMAND...]", "Open a shell in a running VM, or run a command there", cobra.MinimumNArgs(1), f.ssh, "lima-home")
	shell.Flags().StringVar(&f.shell.Shell, "shell", "", "shell to run in the guest")
	shell.Flags().StringVar(&f.shell.Workdir, "workdir", "", "working directory in the guest")
	shell.Flags().DurationVar(&f.shell.WaitTimeout, "patience", 0, "wait this long for a guest that may not answer yet")
	root.AddCommand(agent, clearing, probe, shell,
		f.command("validate [VM] < JOB", "Check a template and, if a VM is named, whether it fits that VM's disk; writes nothing", cobra.MaximumNArgs(1), f.validate),
		f.command("template LOCATOR", "Print a template from a file, a URL or template://NAME, with everything it refers to embedded", one, f.template),
		f.command("prepare VM < JOB", "Create or update a VM's disk and configuration", one, f.prepare, "lima-home", "share"),
		remove,
	)
	root.AddCommand(f.wrapperCommands()...)
	return root
}

// command returns a command. It refuses a wrong number of arguments, and that required flags are missing; --lima-home
// may come from the environment instead.
func (f *flags) command(use, short string, check cobra.PositionalArgs, run func(cmd *cobra.Command, args []string) error, required ...string) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, RunE: func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{err}
		}
		values := map[string]string{"lima-home": f.home, "share": f.share, "log-dir": f.logs}
		for _, name := range required {
			if values[name] == "" {
				return &usageError{fmt.Errorf("--%s is required", name)}
			}
		}
		return run(cmd, args)
	}}
}

// apply tells Lima where its files are. Lima knows no other way than the environment.
func (f *flags) apply() error {
	lima.SetVersion()
	f.home = cmp.Or(f.home, os.Getenv("LIMA_HOME"))
	for _, dir := range []*string{&f.home, &f.share, &f.logs} {
		if *dir == "" {
			continue
		}
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return err
		}
		*dir = abs
	}
	if f.home != "" {
		if err := os.Setenv("LIMA_HOME", f.home); err != nil {
			return err
		}
	}
	if f.share != "" {
		return os.Setenv("LIMA_TEMPLATES_PATH", template.SearchPath(f.home, f.share))
	}
	return nil
}

// heartbeatInterval is how often an event says that a command goes on. The service ends one that is silent for a minute.
const heartbeatInterval = time.Second

// report runs work whose events go to stdout. The last event reports the result.
func report(ctx context.Context, work func(context.Context, *event.Writer) error) error {
	w := event.NewWriter(os.Stdout)
	stop := lima.Every(heartbeatInterval, func() { _ = w.Write(event.Event{}) }) // a reader that is gone ends us by a signal
	done := make(chan error, 1)
	go func() { done <- work(ctx, w) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		select {
		case err = <-done:
		case <-time.After(cancelGrace):
			err = context.Cause(ctx)
		}
	}
	stop()
	if err == nil {
		return w.Write(event.Event{OK: true})
	}
	if e := w.Write(event.Event{Failure: lima.Failure(err)}); e != nil {
		return err
	}
	return fmt.Errorf("%w: %w", errReported, err)
}
