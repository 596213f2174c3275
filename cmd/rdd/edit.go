package main

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
)

// interrupts ends a context at Ctrl-C, unless an editor has the terminal: there Ctrl-C is a key like
// any other.
type interrupts struct {
	mu      sync.Mutex
	editing bool
}

// context returns a context that Ctrl-C or a SIGTERM ends.
func (i *interrupts) context() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for s := range signals {
			i.mu.Lock()
			if s != os.Interrupt || !i.editing {
				cancel()
			}
			i.mu.Unlock()
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
	editor := "vi"
	if runtime.GOOS == "windows" {
		editor = "notepad"
	}
	for _, name := range []string{"EDITOR", "VISUAL"} {
		if value := os.Getenv(name); value != "" {
			editor = value
		}
	}
	cmd := exec.Command("sh", "-c", editor+` "$1"`, editor, path)
	if runtime.GOOS == "windows" {
		cmd = exec.Command("cmd", "/C", editor, path)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	i.set(true)
	defer i.set(false)
	return cmd.Run()
}

func (i *interrupts) set(editing bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.editing = editing
}
