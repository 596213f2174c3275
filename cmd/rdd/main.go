// Command rdd is the companion CLI of RDD.
package main

import (
	"os"

	"github.com/mattn/go-isatty"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/cli"
	"rancherdesktop.io/rdd/internal/instance"
)

// version is set by the build.
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	var ends interrupts
	ctx, stop := ends.context()
	defer stop()
	program := &cli.Program{
		Version:  version,
		In:       os.Stdin,
		Out:      os.Stdout,
		Err:      os.Stderr,
		Terminal: isatty.IsTerminal(os.Stderr.Fd()) && os.Getenv("TERM") != "dumb",
		Edit:     ends.edit,
		Open: func(name string) (*core.Core, error) {
			inst, err := instance.Resolve(name)
			return core.New(inst, version), err
		},
	}
	return program.Run(ctx, os.Args[1:])
}
