// Command rddd is the background core of RDD: it serves one instance's control plane and runs its
// virtual machines. rdd starts it; people don't.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"rancherdesktop.io/rdd/internal/daemon"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/logs"
	"rancherdesktop.io/rdd/internal/machine"
	"rancherdesktop.io/rdd/internal/serve"
)

// version is set by the build.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "rddd:", err)
		if errors.Is(err, daemon.ErrRunning) {
			os.Exit(daemon.ExitRunning)
		}
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var name string
	root := &cobra.Command{
		Use: "rddd", Short: "The background core of RDD; use rdd to start and stop it",
		Version: version, SilenceErrors: true, SilenceUsage: true,
	}
	root.PersistentFlags().StringVar(&name, "instance", "", "instance to serve")

	var nonce string
	serve := &cobra.Command{
		Use: "serve", Short: "Serve one instance until interrupted", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), name, func(ctx context.Context, inst instance.Instance, log *slog.Logger) error {
				return runService(ctx, inst, nonce, log)
			})
		},
	}
	serve.Flags().StringVar(&nonce, "nonce", "", "identity of this run")
	_ = serve.MarkFlagRequired("nonce")

	reap := &cobra.Command{
		Use: "reap", Short: "Stop the virtual machines that a crashed service left behind", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), name, runReap) },
	}
	root.AddCommand(serve, reap)
	return root
}

// run resolves the instance, opens its log and calls fn.
func run(ctx context.Context, name string, fn func(context.Context, instance.Instance, *slog.Logger) error) error {
	inst, err := instance.Resolve(name)
	if err != nil {
		return err
	}
	if err := inst.Create(); err != nil {
		return err
	}
	file := logs.Rotating(inst.ServiceLog())
	log := slog.New(slog.NewTextHandler(file, nil)).With("pid", os.Getpid())
	// The libraries' own logs say what they do, not what it means to the user.
	quiet := slog.New(slog.NewTextHandler(file, &slog.HandlerOptions{Level: slog.LevelWarn})).With("pid", os.Getpid())
	klog.SetSlogLogger(quiet)
	ctrllog.SetLogger(logr.FromSlogHandler(quiet.Handler()))
	err = fn(ctx, inst, log)
	if err != nil {
		log.Error("ended", "err", err)
	} else {
		log.Info("ended")
	}
	return errors.Join(err, file.Close())
}

func runService(ctx context.Context, inst instance.Instance, nonce string, log *slog.Logger) error {
	config, err := daemon.LoadConfig(inst)
	host, hostErr := os.Hostname()
	return daemon.Run(ctx, inst, nonce, version, log, func(ctx context.Context, publish func(daemon.Record)) error {
		if err := errors.Join(err, hostErr); err != nil {
			return err
		}
		run := &serve.Run{Instance: inst, Config: config, Nonce: nonce, Version: version, Host: host, Log: log, Publish: publish}
		return run.Serve(ctx)
	})
}

// reapTimeout bounds guests powering off.
const reapTimeout = 4 * time.Minute

func runReap(ctx context.Context, inst instance.Instance, log *slog.Logger) error {
	program, err := inst.Program("rdd-lima")
	if err != nil {
		return err
	}
	err = daemon.WhileStopped(inst, func() error {
		ctx, cancel := context.WithTimeout(ctx, reapTimeout)
		defer cancel()
		machines := machine.New(machine.Config{LimaHome: inst.LimaHome(), Program: program, ShareDir: inst.ShareDir(), LogDir: inst.VMLogDir(), Log: log, Changed: func(string) {}})
		return machines.Close(ctx, func(step string) { log.Info("reaping", "step", step) })
	})
	if errors.Is(err, daemon.ErrNotStopped) {
		return nil // a new run has adopted them
	}
	return err
}
