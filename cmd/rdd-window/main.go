// Command rdd-window shows RDD's page in a window. One window shows an instance: a second start brings it to the
// front, and hands over what it was asked to show.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/pflag"

	"rancherdesktop.io/rdd/app/page"
	"rancherdesktop.io/rdd/app/window"
	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/frontend"
	"rancherdesktop.io/rdd/internal/instance"
	"rancherdesktop.io/rdd/internal/proc"
)

// version is set by the build.
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	proc.OwnFiles()
	args, usage, err := window.Parse(os.Args[1:])
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Print(usage)
		return 0
	case err != nil:
		fmt.Fprintf(os.Stderr, "rdd-window: %v\n%s", err, usage)
		return 2
	case args.Version:
		fmt.Println("rdd-window", version)
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := show(ctx, args); err != nil {
		fmt.Fprintln(os.Stderr, "rdd-window:", err)
		return 1
	}
	return 0
}

// errNoDisplay comes before GTK, which panics.
var errNoDisplay = errors.New("there is no display to open a window on (DISPLAY and WAYLAND_DISPLAY are empty); in a browser, also of another computer through ssh -L, use: rdd dashboard")

func show(ctx context.Context, args window.Arguments) error {
	open := func(name string) (*core.Core, error) {
		inst, err := instance.Resolve(name)
		return core.New(inst, version), err
	}
	c, err := open(args.Instance)
	if err != nil {
		return err
	}
	if runtime.GOOS == "linux" && os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return errNoDisplay
	}
	single, err := c.First(ctx, "window", os.Args[1:])
	if err != nil || single == nil {
		return err
	}
	defer func() { _ = single.Close() }() // the window has, when it was opened
	return window.Run(ctx, window.Options{
		API:  page.New(page.Options{Core: c, Open: open, Version: version}),
		Core: c, Single: single, Files: frontend.Files(), Request: args.Request,
	})
}
