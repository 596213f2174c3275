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

// errUsage is a command line that makes no sense.
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
	desk := desk{inst}
	lock, err := only(inst)
	if errors.Is(err, proc.ErrLocked) {
		fmt.Fprintln(os.Stderr, "rdd-tray: the tray icon is there already; opening the window")
		return desk.open()
	}
	if err != nil {
		return err
	}
	defer func() { _ = lock.Release() }()

	// It lives for weeks and holds little: what a collection costs more often, it saves in memory.
	debug.SetGCPercent(25)
	time.AfterFunc(trimDelay, func() { gctuning.Trim(ctx, busyAllocBytes) })
	if *window {
		go func() {
			if err := desk.open(); err != nil {
				fmt.Fprintln(os.Stderr, "rdd-tray: open the window:", err)
			}
		}()
	}
	t := &tray.Tray{Core: core.New(inst, version), Open: desk.open}
	if err := t.Run(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// trimDelay is how long the start keeps it busy, the first diagnosis included.
const trimDelay = 15 * time.Second

// busyAllocBytes is what it allocates in 10 s, in bytes, when somebody uses it: to open the menu takes more.
const busyAllocBytes = 128 << 10

// only makes this the only tray of the instance.
func only(inst instance.Instance) (*proc.Lock, error) {
	path := inst.TrayLock()
	if err := inst.MakeShared(); err != nil {
		return nil, err
	}
	return proc.Acquire(path)
}
