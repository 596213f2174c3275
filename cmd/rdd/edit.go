package main

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
)

// interrupts cancels a context at Ctrl-C, except while an editor has the terminal: in an editor Ctrl-C is an
// ordinary key.
type interrupts struct{ editing atomic.Bool }

// context returns a context that Ctrl-C or a SIGTERM cancels.
func (i *interrupts) context() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for s := range signals {
			if s != os.Interrupt || !i.editing.Load() {
				cancel()
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel()
	}
}

// edit runs the user's editor on a file. Like git, it lets a shell read $VISUAL and $EDITOR.
func (i *interrupts) edit(path string) error {
	editor := cmp.Or(os.Getenv("VISUAL"), os.Getenv("EDITOR"), "vi")
	cmd := exec.Command("sh", "-c", editor+` "$1"`, editor, path)
	if runtime.GOOS == "windows" {
		cmd = exec.Command("cmd", "/C", cmp.Or(os.Getenv("VISUAL"), os.Getenv("EDITOR"), "notepad"), path)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	i.editing.Store(true)
	defer i.editing.Store(false)
	return cmd.Run()
}
