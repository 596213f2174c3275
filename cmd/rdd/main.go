// Command rdd is the companion CLI of RDD.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/mattn/go-isatty"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/cli"
	"rancherdesktop.io/rdd/internal/instance"
)

// version is set by the build.
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	program := &cli.Program{
		Version:  version,
		Out:      os.Stdout,
		Err:      os.Stderr,
		Terminal: isatty.IsTerminal(os.Stderr.Fd()) && os.Getenv("TERM") != "dumb",
		Open: func(name string) (*core.Core, error) {
			inst, err := instance.Resolve(name)
			return core.New(inst, version), err
		},
	}
	return program.Run(ctx, os.Args[1:])
}
