// Command rdd-web shows RDD's page in a browser. `rdd dashboard` runs it.
package main

import (
	"context"
	"fmt"
	"html"
	"io"
	"os"

	"github.com/pkg/browser"
	"github.com/spf13/cobra"

	"rancherdesktop.io/rdd/app/page"
	"rancherdesktop.io/rdd/app/web"
	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/frontend"
	"rancherdesktop.io/rdd/internal/proc"
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
		path, err := openLink(server.Address())
		if err != nil {
			fmt.Fprintf(os.Stderr, "No browser could be opened (%v): open the address yourself.\n", err)
		}
		defer func() { _ = os.Remove(path) }()
	}
	err = server.Serve(ctx)
	<-ended
	return err
}

// openLink opens a file that redirects to the address. Only the user can read the file, while other users could see
// a token on the browser's command line.
func openLink(address string) (path string, err error) {
	f, err := os.CreateTemp("", "rdd-*.html") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = fmt.Fprintf(f, "<!doctype html><meta charset=utf-8><title>RDD</title><meta http-equiv=refresh content=\"0; url=%[1]s\"><a href=\"%[1]s\">RDD</a>\n", html.EscapeString(address))
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		browser.Stdout, browser.Stderr = io.Discard, io.Discard
		err = browser.OpenFile(f.Name())
	}
	return f.Name(), err
}
