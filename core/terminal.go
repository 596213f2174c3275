package core

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/creack/pty"
)

// Terminal is a pseudo-terminal with a login shell in a running VM.
type Terminal struct {
	file  *os.File
	cmd   *exec.Cmd
	ended chan struct{} // closed when ssh has ended
}

// terminalGrace is how long ssh may take to end after its terminal is closed.
const terminalGrace = 2 * time.Second

// Terminal opens a shell in a running VM. It starts no VM.
func (v *VMs) Terminal(ctx context.Context, name string, cols, rows int) (*Terminal, error) {
	const op = "open shell in VM"
	cmd, err := v.Shell(ctx, name, ShellOptions{})
	if err != nil {
		return nil, err
	}
	cmd.Dir = v.session.core.inst.Home()
	cmd.Env = append(cmd.Environ(), "TERM=xterm-256color", "COLORTERM=truecolor")
	file, err := pty.StartWithSize(cmd, size(cols, rows))
	if errors.Is(err, pty.ErrUnsupported) {
		err = fmt.Errorf("%w: open a terminal window and use: rdd vm shell %s", err, name)
	}
	if err != nil {
		return nil, Failed(op, name, err)
	}
	t := &Terminal{file: file, cmd: cmd, ended: make(chan struct{})}
	go func() {
		defer close(t.ended)
		_ = cmd.Wait() // the terminal shows an error
	}()
	if err := closable(file); err != nil {
		return nil, Failed(op, name, errors.Join(err, t.Close()))
	}
	return t, nil
}

func size(cols, rows int) *pty.Winsize { return &pty.Winsize{Cols: uint16(cols), Rows: uint16(rows)} }

// Read reads the output of the shell. Close ends it.
func (t *Terminal) Read(p []byte) (int, error) { return t.file.Read(p) }

// Write writes input for the shell.
func (t *Terminal) Write(p []byte) (int, error) { return t.file.Write(p) }

// Resize sets the size of the terminal.
func (t *Terminal) Resize(cols, rows int) error { return pty.Setsize(t.file, size(cols, rows)) }

// Close closes the terminal and returns when ssh has ended. Programs in the guest receive a hang-up.
func (t *Terminal) Close() error {
	err := t.file.Close()
	select {
	case <-t.ended:
	case <-time.After(terminalGrace):
		err = errors.Join(err, t.cmd.Process.Kill())
		<-t.ended
	}
	return err
}
