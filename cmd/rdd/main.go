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
	commit  string // git's name of it
	built   string // the time in UTC, in the format of RFC 3339
)

func main() { os.Exit(run()) }

func run() int {
	var ends interrupts
	ctx, stop := ends.context()
	defer stop()
	program := &cli.Program{
		Version:     version,
		Commit:      commit,
		Built:       built,
		In:          os.Stdin,
		Out:         os.Stdout,
		Err:         os.Stderr,
		Terminal:    isatty.IsTerminal(os.Stderr.Fd()) && os.Getenv("TERM") != "dumb",
		TerminalOut: isatty.IsTerminal(os.Stdout.Fd()) && os.Getenv("TERM") != "dumb",
		Asks:        isatty.IsTerminal(os.Stdin.Fd()) && isatty.IsTerminal(os.Stderr.Fd()),
		Environ:     os.Environ(),
		Edit:        ends.edit,
		Open:        core.Opener(version),
	}
	return program.Run(ctx, os.Args[1:])
}
