// Command rdd is the companion CLI of RDD.
package main

import (
	"os"

	"github.com/mattn/go-isatty"

	"rancherdesktop.io/rdd/app/cli"
	"rancherdesktop.io/rdd/core"
)

// These are set by the build. Without them, commit and built are empty.
var (
	version = "dev"
	commit  string // as git names it
	built   string // when, in UTC as RFC 3339 has it
)

func main() { os.Exit(run()) }

func run() int {
	var ends interrupts
	ctx, stop := ends.context()
	defer stop()
	program := &cli.Program{
		Version:  version,
		Commit:   commit,
		Built:    built,
		In:       os.Stdin,
		Out:      os.Stdout,
		Err:      os.Stderr,
		Terminal: isatty.IsTerminal(os.Stderr.Fd()) && os.Getenv("TERM") != "dumb",
		Edit:     ends.edit,
		Open:     core.Opener(version),
	}
	return program.Run(ctx, os.Args[1:])
}
