// Command rdd-window shows RDD's page in a window. It is at the root because the Wails CLI builds the main that
// is beside wails.json. The other programs are below cmd.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/spf13/pflag"

	"rancherdesktop.io/rdd/app/page"
	"rancherdesktop.io/rdd/app/window"
	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/frontend"
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
	ctx, stop, err := proc.Interruptible(context.Background())
	if err == nil {
		defer stop()
		err = show(ctx, args)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "rdd-window:", err)
		return 1
	}
	return 0
}

func show(ctx context.Context, args window.Arguments) error {
	open := core.Opener(version)
	c, err := open(args.Instance)
	if err != nil {
		return err
	}
	return window.Run(ctx, window.Options{
		API:  page.New(page.Options{Core: c, Open: open, Version: version}),
		Core: c, Files: frontend.Files(), Args: os.Args[1:], Request: args.Request,
		Display: runtime.GOOS != "linux" || os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != "",
	})
}
