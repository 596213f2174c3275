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
	"rancherdesktop.io/rdd/internal/lima/template"
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
	root.AddCommand(validateCommand(f), templateCommand(f), prepareCommand(f), hostagentCommand(f), clearCommand(f), removeCommand(f), probeCommand(f), sshCommand(f), dialCommand(), guardCommand())
	return root
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

// require returns a check that a command's required flags are set; --lima-home may come from the environment instead.
func (f *flags) require(names ...string) func(*cobra.Command, []string) error {
	return func(*cobra.Command, []string) error {
		values := map[string]string{"lima-home": f.home, "share": f.share, "log-dir": f.logs}
		for _, n := range names {
			if values[n] == "" {
				return &usageError{fmt.Errorf("--%s is required", n)}
			}
		}
		return nil
	}
}

// report runs work whose events go to stdout. The last event reports the result.
func report(ctx context.Context, work func(context.Context, *event.Writer) error) error {
	w := event.NewWriter(os.Stdout)
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
	if err == nil {
		return w.Write(event.Event{OK: true})
	}
	if e := w.Write(event.Event{Failure: lima.Failure(err)}); e != nil {
		return err
	}
	return fmt.Errorf("%w: %w", errReported, err)
}
