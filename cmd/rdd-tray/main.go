// Command rdd-tray is RDD's icon in the desktop's panel. There is one for each instance.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/pflag"

	"rancherdesktop.io/rdd/app/tray"
	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/gctuning"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/proc"
)

// version is set by the build.
var version = "dev"

// errUsage is an invalid command line.
var errUsage = errors.New("usage: rdd-tray [--instance NAME]")

func main() {
	err := run(os.Args[1:])
	if err == nil || errors.Is(err, pflag.ErrHelp) {
		return
	}
	fmt.Fprintln(os.Stderr, "rdd-tray:", err)
	if errors.Is(err, errUsage) || errors.Is(err, instance.ErrName) {
		os.Exit(2)
	}
	os.Exit(1)
}

func run(args []string) error {
	proc.OwnFiles()
	flags := pflag.NewFlagSet("rdd-tray", pflag.ContinueOnError)
	name := flags.String("instance", "", `instance to show (default: $RDD_INSTANCE, or "default")`)
	window := flags.Bool("open", false, "open the window, too")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: there are arguments: %q", errUsage, flags.Args())
	}
	inst, err := instance.Resolve(*name)
	if err != nil {
		return err
	}
	ctx, stop, err := proc.Interruptible(context.Background())
	if err != nil {
		return err
	}
	defer stop()
	open := func(args ...string) error { return openWindow(inst, args...) }
	if err := inst.MakeShared(); err != nil {
		return err
	}
	lock, err := proc.Acquire(inst.TrayLock())
	if errors.Is(err, proc.ErrLocked) {
		fmt.Fprintln(os.Stderr, "rdd-tray: there is a tray icon already; opening the window")
		return openUntil(ctx, open)
	}
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()

	// The tray runs for weeks and has a small heap, so more frequent collections cost little and save memory.
	debug.SetGCPercent(25)
	time.AfterFunc(trimDelay, func() { gctuning.Trim(ctx, busyAllocBytes) })
	if *window {
		go func() {
			if err := open(); err != nil {
				fmt.Fprintln(os.Stderr, "rdd-tray: open the window:", err)
			}
		}()
	}
	t := &tray.Tray{Core: core.New(inst, version), Open: open}
	if err := t.Run(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// openUntil opens the window and returns when that has ended, or when ctx ends. The window then stays open.
func openUntil(ctx context.Context, open func(args ...string) error) error {
	ended := make(chan error, 1)
	go func() { ended <- open() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil
	}
}

// trimDelay is longer than the tray is busy after its start, which includes the first diagnosis.
const trimDelay = 15 * time.Second

// busyAllocBytes is the number of bytes that the tray allocates in 10 s only when somebody uses it: to open the menu
// takes more.
const busyAllocBytes = 128 << 10
