// Command rdd-web shows RDD's page in a browser. `rdd dashboard` runs it.
package main

import (
	"context"
	"fmt"
	"html"
	"io"
	"os"
	"path/filepath"

	"github.com/pkg/browser"
	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/app/page"
	"rancherdesktop.io/rdd/app/web"
	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/frontend"
	"rancherdesktop.io/rdd/internal/proc"
	"rancherdesktop.io/rdd/internal/scratch"
)

// version is set by the build.
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	proc.OwnFiles()
	ctx, stop, err := proc.Interruptible(context.Background())
	if err == nil {
		defer stop()
		err = command().ExecuteContext(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "rdd-web:", err)
		return 1
	}
	return 0
}

func command() *cobra.Command {
	var name string
	var quiet, readOnly bool
	cmd := &cobra.Command{
		Use: "rdd-web", Short: "Show RDD's page in a browser; use rdd dashboard", Args: cobra.NoArgs,
		Version: version, SilenceErrors: true, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return show(cmd.Context(), name, !quiet, readOnly) },
	}
	cmd.Flags().StringVar(&name, "instance", "", "instance to show first")
	cmd.Flags().BoolVar(&quiet, "no-open", false, "print the address and open no browser")
	cmd.Flags().BoolVar(&readOnly, "read-only", false, "refuse all changes")
	return cmd
}

func show(ctx context.Context, name string, open, readOnly bool) error {
	opened := core.Opener(version)
	c, err := opened(name)
	if err != nil {
		return err
	}
	api := page.New(page.Options{Core: c, Open: opened, Version: version, ReadOnly: readOnly})
	server, err := web.Listen(api, frontend.Files())
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { defer close(ended); api.Run(ctx) }()
	fmt.Println(server.Address())
	fmt.Fprintln(os.Stderr, "This address works once, for whoever opens it first. Ctrl-C ends the page; operations begun on it continue.")
	if open {
		dir, err := openLink(server.Address())
		if err != nil {
			fmt.Fprintf(os.Stderr, "No browser could be opened (%v): open the address yourself.\n", err)
		}
		if dir != nil {
			defer func() { _ = dir.Close() }()
		}
	}
	err = server.Serve(ctx)
	<-ended
	return err
}

// openLink opens a file that redirects to the address. Only the user can read the file, while other users could see
// a token on the browser's command line. The file is in dir, which the caller closes unless it is nil.
func openLink(address string) (dir *scratch.Dir, err error) {
	if dir, err = scratch.New("rdd-web-"); err != nil {
		return nil, err
	}
	file := filepath.Join(dir.Path, "page.html")
	text := fmt.Sprintf("<!doctype html><meta charset=utf-8><title>RDD</title><meta http-equiv=refresh content=\"0; url=%[1]s\"><a href=\"%[1]s\">RDD</a>\n", html.EscapeString(address))
	if err = os.WriteFile(file, []byte(text), 0o600); err == nil {
		browser.Stdout, browser.Stderr = io.Discard, io.Discard
		err = browser.OpenFile(file)
	}
	return dir, err
}
