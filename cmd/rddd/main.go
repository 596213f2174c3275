// Command rddd is the background core of RDD: it serves one instance's control plane and runs its
// virtual machines. rdd starts it, not the user.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/lifecycle"
	"rancherdesktop.io/rdd/internal/logs"
	"rancherdesktop.io/rdd/internal/proc"
	"rancherdesktop.io/rdd/internal/server"
)

// version is set by the build.
var version = "dev"

func main() {
	stderr := os.Stderr // see server.CaptureLibraryLogs
	if err := execute(); err != nil {
		fmt.Fprintln(stderr, "rddd:", err)
		fmt.Println(err)
		os.Exit(1)
	}
}

func execute() error {
	ctx, stop, err := proc.Interruptible(context.Background())
	if err != nil {
		return err
	}
	defer stop()
	if err := proc.EndWithParent(os.Getenv(proc.EnvTether)); err != nil {
		return err
	}
	// The last error goes to stdout, for the process that started the service. If that has ended, the write must not
	// kill this process. The signal is caught, not ignored: children would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return command().ExecuteContext(ctx)
}

func command() *cobra.Command {
	var name string
	root := &cobra.Command{
		Use: "rddd", Short: "The background core of RDD; use rdd to start and stop it",
		Version: version, SilenceErrors: true, SilenceUsage: true,
	}
	root.PersistentFlags().StringVar(&name, "instance", "", "instance to serve")

	var c claimed
	level := slog.LevelInfo
	serve := &cobra.Command{
		Use: "serve", Short: "Serve one instance until interrupted", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.run(cmd.Context(), name, level, runService)
		},
	}
	c.flags(serve)
	_ = serve.MarkFlagRequired(lifecycle.FlagNonce)
	serve.Flags().TextVar(&level, "log-level", level, "minimum log level: error, warn, info or debug")

	var force bool
	reap := &cobra.Command{
		Use: "reap", Short: "Stop the virtual machines that a crashed service left behind", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.run(cmd.Context(), name, slog.LevelInfo, func(ctx context.Context, inst instance.Instance, _ *lifecycle.Claim, log *slog.Logger) error {
				return runReap(ctx, inst, force, log)
			})
		},
	}
	c.flags(reap)
	reap.Flags().BoolVar(&force, "force", false, "end them at once")
	backups := &cobra.Command{
		Use: "backups", Short: "List the backups of the datastore, as JSON", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return printBackups(cmd.Context(), name) },
	}
	restore := &cobra.Command{
		Use: "restore [BACKUP]", Short: "Replace the datastore with a backup, and print as JSON what was done", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return run(cmd.Context(), name, slog.LevelInfo, func(ctx context.Context, inst instance.Instance, log *slog.Logger) error {
				return runRestore(ctx, inst, strings.Join(args, ""), log)
			})
		},
	}
	remove := &cobra.Command{
		Use: "remove VM", Short: "Stop a virtual machine that has no LimaVM object, and remove its disk", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runRemove(cmd.Context(), name, args[0]) },
	}
	root.AddCommand(serve, reap, backups, restore, remove)
	return root
}

func printBackups(ctx context.Context, name string) error {
	inst, err := instance.Resolve(name)
	if err != nil {
		return err
	}
	all, err := server.Backups(ctx, inst)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(all)
}

func runRestore(ctx context.Context, inst instance.Instance, name string, log *slog.Logger) error {
	config, err := lifecycle.LoadConfig(inst)
	if err != nil {
		return err
	}
	return lifecycle.WhileStopped(inst, func() error {
		done, err := server.Restore(ctx, inst, config, name)
		if err != nil {
			return err
		}
		log.Info("restored", "backup", done.Backup.Path, "aside", done.Aside)
		return errors.Join(lifecycle.Forget(inst), json.NewEncoder(os.Stdout).Encode(done))
	})
}

// runRemove runs while the service may run, so it doesn't write to the service's log.
func runRemove(ctx context.Context, name, vm string) error {
	inst, err := instance.Resolve(name)
	if err != nil {
		return err
	}
	machines, err := server.NewMachines(inst, slog.New(slog.DiscardHandler), func(string) {})
	if err != nil {
		return err
	}
	return machines.Remove(ctx, vm)
}

// run resolves the instance, opens its log and calls fn.
func run(ctx context.Context, name string, level slog.Level, fn func(context.Context, instance.Instance, *slog.Logger) error) error {
	inst, err := instance.Resolve(name)
	if err != nil {
		return err
	}
	if err := inst.MakeDirs(); err != nil { // rdd has checked them
		return err
	}
	file := logs.Rotating(inst.ServiceLog())
	log := slog.New(slog.NewTextHandler(file, &slog.HandlerOptions{Level: level})).With("pid", os.Getpid())
	// The libraries' messages below a warning are of no use to the user.
	quiet := slog.New(slog.NewTextHandler(file, &slog.HandlerOptions{Level: max(level, slog.LevelWarn)})).With("pid", os.Getpid())
	if err := server.CaptureLibraryLogs(log); err != nil {
		return errors.Join(err, file.Close())
	}
	ctrllog.SetLogger(logr.FromSlogHandler(quiet.Handler()))
	err = fn(ctx, inst, log)
	if err != nil {
		log.Error("ended", "err", err)
	} else {
		log.Info("ended")
	}
	return errors.Join(err, file.Close())
}

// claimed are the flags of commands that need the instance for themselves. The process that starts the command may
// have claimed it already.
type claimed struct{ nonce, claim string }

func (c *claimed) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.nonce, lifecycle.FlagNonce, lifecycle.Leftovers, "identity of this run")
	cmd.Flags().StringVar(&c.claim, lifecycle.FlagClaim, "", "locks that this process inherits; empty: it acquires them")
}

// run calls fn while the instance is claimed, and then starts the service if that was requested meanwhile.
func (c *claimed) run(ctx context.Context, name string, level slog.Level, fn func(context.Context, instance.Instance, *lifecycle.Claim, *slog.Logger) error) error {
	var claim *lifecycle.Claim
	var inst instance.Instance
	err := run(ctx, name, level, func(ctx context.Context, i instance.Instance, log *slog.Logger) (err error) {
		inst = i
		if claim, err = lifecycle.Inherited(inst, c.nonce, c.claim); err != nil {
			return err
		}
		go func() { // keeps the claim until the process ends, after its last line in the log
			<-make(chan struct{})
			_ = claim.Release()
		}()
		return fn(ctx, inst, claim, log)
	})
	if claim != nil && (err == nil || c.nonce != lifecycle.Leftovers) { // while there are leftovers, their error comes first
		err = errors.Join(err, claim.Follow(inst))
	}
	return err
}

func runService(ctx context.Context, inst instance.Instance, claim *lifecycle.Claim, log *slog.Logger) error {
	config, configErr := lifecycle.LoadConfig(inst)
	host, hostErr := os.Hostname()
	return lifecycle.Run(ctx, inst, claim, version, log, func(ctx context.Context, publish func(lifecycle.Record)) error {
		if err := errors.Join(configErr, hostErr); err != nil && ctx.Err() == nil {
			return err
		}
		run := &server.Run{Instance: inst, Config: config, Nonce: claim.Nonce, Version: version, Host: host, Log: log, Publish: publish}
		return run.Serve(ctx)
	})
}

// reapTimeout is how long the guests may take to power off.
const reapTimeout = 4 * time.Minute

func runReap(ctx context.Context, inst instance.Instance, force bool, log *slog.Logger) error {
	machines, err := server.NewMachines(inst, log, func(string) {})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, reapTimeout)
	defer cancel()
	if force {
		machines.Force()
	}
	go func() {
		if lifecycle.AwaitForce(ctx, inst, lifecycle.Leftovers) == nil {
			machines.Force()
		}
	}()
	return machines.Close(ctx, func(step string) { log.Info("reaping", "step", step) })
}
